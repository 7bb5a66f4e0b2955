"""sources: secrets that lie with a service: HashiCorp Vault and OpenBao, AWS Secrets Manager, Google Secret Manager.

`source` is one such secret as requests see it, `vault_kv`, `aws_secrets` and `gcp_secrets` ask for it, `following` asks again.
Read once at load; what a service answers is believed only where it is whole, and about the secret that was asked for.
"""
