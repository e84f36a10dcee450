"""Connections to foreign mail servers: whom mailsvc may call, how a line is secured, how mail is handed in."""
