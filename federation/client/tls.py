"""Whom this server believes to be another server: TLS as a client."""

import ssl

__all__ = ["public_context", "region_context"]


def public_context(ca_file: str) -> ssl.SSLContext:
    """Believe the authorities of the machine, and those of a file.

    Args:
        ca_file: PEM; empty: no further ones.

    Raises:
        ValueError: the file cannot be read, or holds no certificates.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file:
        _load_authority(context, ca_file)
    return context


def region_context(ca_file: str, certificate: str, key: str) -> ssl.SSLContext:
    """Believe the organisation's authority alone, and show the own certificate.

    That the other's certificate is for the right server is looked at after the handshake: names of servers
    say more than host names.

    Args:
        ca_file: PEM with the authority's certificate.
        certificate: PEM with the own certificate and what is between it and the authority.
        key: PEM with its private key.

    Raises:
        ValueError: a file cannot be read, or is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    _load_authority(context, ca_file)
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:
        # Python does not say which file it is.
        raise ValueError(f"{certificate} with {key} is no certificate with its key: {error}") from error
    return context


def _load_authority(context: ssl.SSLContext, ca_file: str) -> None:
    try:
        context.load_verify_locations(ca_file)
    except OSError as error:
        raise ValueError(f"{ca_file} holds no authorities: {error}") from error
