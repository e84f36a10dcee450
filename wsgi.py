"""What gunicorn serves."""

from mailsvc.app import create_app

app = create_app()
