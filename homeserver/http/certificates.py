"""What the certificate says that the other end of a connection showed; TLS has verified it before."""

from typing import Any

__all__ = ["names_shown_by"]


def names_shown_by(transport: Any) -> frozenset[str]:
    """The alternative names of the other end's certificate: `DNS:…`, `IP:…` and `URI:…`; none without one.

    Args:
        transport: of a connection. It asks for certificates only where a listener has `tls_client_ca`, and
            ends connections with certificates that this authority did not make.
    """
    ask = getattr(transport, "getPeerCertificate", None)
    shown = None if ask is None else ask()
    if shown is None:
        return frozenset()
    # Costs memory that a server without regions need not spend.
    from cryptography import x509  # noqa: PLC0415 - only with certificates of clients

    try:
        found = shown.to_cryptography().extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        # None, or none that can be read.
        return frozenset()
    return frozenset(
        [f"DNS:{name}" for name in found.get_values_for_type(x509.DNSName)]
        + [f"IP:{address}" for address in found.get_values_for_type(x509.IPAddress)]
        + [f"URI:{uri}" for uri in found.get_values_for_type(x509.UniformResourceIdentifier)]
    )
