"""Certificates minted for a test: a CA, servers, clients, revocation lists, and the files they lie in."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from gateway.config.values import FileSecret
from gateway.edge.model import Tls


class Pki:
    """A folder with everything a TLS listener needs, and what its clients bring."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.client_ca = trustme.CA()
        self.certificate = folder / "server.crt"
        self.key = folder / "server.key"
        self.client_ca_file = folder / "clients-ca.crt"
        self.crl = folder / "clients.crl"
        self.serve("localhost", "127.0.0.1")
        self.client_ca.cert_pem.write_to_path(str(self.client_ca_file))

    def serve(self, *names: str, not_after: datetime | None = None) -> None:
        """Put a new server certificate into place."""
        leaf = self.ca.issue_cert(*names, not_after=not_after)
        self.certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        self.key.write_bytes(leaf.private_key_pem.bytes())

    def client(self, name: str = "client.example") -> trustme.LeafCert:
        return self.client_ca.issue_cert(name)

    def revoke(self, *leaves: trustme.LeafCert) -> None:
        """Write the client CA's revocation list."""
        now = datetime.now(UTC)
        authority = x509.load_pem_x509_certificate(self.client_ca.cert_pem.bytes())
        builder = x509.CertificateRevocationListBuilder().issuer_name(authority.subject)
        builder = builder.last_update(now - timedelta(days=1)).next_update(now + timedelta(days=1))
        for leaf in leaves:
            serial = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).serial_number
            revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - timedelta(hours=1))
            builder = builder.add_revoked_certificate(revoked.build())
        key = serialization.load_pem_private_key(self.client_ca.private_key_pem.bytes(), None)
        crl = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]  # trustme mints EC keys
        self.crl.write_bytes(crl.public_bytes(serialization.Encoding.PEM))

    def model(self, **changes: object) -> Tls:
        """The listener's TLS configuration over these files."""
        return Tls(certificate=self.certificate, key=FileSecret(file=self.key)).model_copy(update=changes)

    def mutual(self, **changes: object) -> Tls:
        """The same, demanding client certificates."""
        return self.model(**{"client_ca": self.client_ca_file, "client_auth": "require", **changes})
