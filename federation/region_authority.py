"""An organisation's own certificate authority, for the certificates that its regions show each other.

Any tool that makes certificates will do in its place; see `federation.certificates` for what they must say.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from federation.certificates import uri_of
from federation.places import split_server_name

__all__ = ["PemPair", "issue_certificate", "make_authority"]

COMMON_NAME_CHARACTERS_MAX = 64
"""RFC 5280."""


@dataclass(frozen=True, slots=True)
class PemPair:
    """A certificate and its private key, each in PEM."""

    certificate: bytes
    key: bytes


def make_authority(name: str, *, now_ms: int, days: int) -> PemPair:
    """Make an authority.

    Args:
        name: the organisation's.
        now_ms: from when on it is valid.
        days: for how long.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(name)
    builder = (
        _builder(subject, subject, key.public_key(), now_ms=now_ms, days=days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return _pair(builder.sign(key, hashes.SHA256()), key)


def issue_certificate(authority: PemPair, server_name: str, *, now_ms: int, days: int) -> PemPair:
    """Make the certificate that a region shows as a client, and as a server too if it likes.

    Args:
        authority: as `make_authority` makes it.
        server_name: of the region.
        now_ms: from when on it is valid.
        days: for how long, but no longer than the authority.

    Raises:
        ValueError: the authority's files are not what they should be.
    """
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    issuer_key = serialization.load_pem_private_key(authority.key, None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise ValueError("The authority's key is none of an elliptic curve.")  # noqa: TRY004 - a file says it
    key = ec.generate_private_key(ec.SECP256R1())
    host = split_server_name(server_name)
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri_of(server_name))]
    names.append(x509.IPAddress(ip_address(host.host)) if host.is_address else x509.DNSName(host.host))
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    builder = (
        _builder(
            _subject(server_name), issuer.subject, key.public_key(), now_ms=now_ms, days=days,
            end=issuer.not_valid_after_utc,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )  # fmt: skip
    return _pair(builder.sign(issuer_key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    *,
    now_ms: int,
    days: int,
    end: datetime | None = None,
) -> x509.CertificateBuilder:
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    last = now + timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        # Clocks differ.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(last if end is None else min(last, end))
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:COMMON_NAME_CHARACTERS_MAX])])


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=is_authority, crl_sign=is_authority,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> PemPair:
    return PemPair(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
