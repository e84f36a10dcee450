"""How a line to a foreign mail server is secured."""

import functools
import ssl


@functools.cache
def client_context(*, verify: bool) -> ssl.SSLContext:
    """TLS 1.2 or newer; the chain and the host name are checked against the system's authorities if ``verify``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if verify:
        context.load_default_certs()
    else:
        # The authorities are not even read: they take more memory than a worker has to spare for nothing.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
