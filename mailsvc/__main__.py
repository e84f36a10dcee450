"""``python -m mailsvc``."""

import gc


def _run() -> None:
    # What is loaded stays until the end. Looking for garbage in it, while it is loaded and once more at the end, takes
    # a third of a short command's time.
    gc.disable()
    from mailsvc.cli import main

    gc.freeze()
    gc.enable()
    main()


_run()
