"""Files that hold secrets, known by their exact name or ending, and directories nobody means by a glob.

Names only: a guess by content, or by words within a name (`credentials.py`, `id_map.py`), would drop source files
silently often enough to make the answers wrong.
"""

from __future__ import annotations

LEFT_OUT_DIRECTORIES = frozenset(
    {b".git", b".ccw", b"node_modules", b"__pycache__", b".ipynb_checkpoints", b".venv", b"venv"}
)
"""Entered only where a reference spells the name. `vendor`, `build`, `dist` and `bin` are gitignore's to decide."""

# Documented file names of: dotenv and direnv, OpenSSH, curl and git, npm, PyPI, PostgreSQL, MySQL, Apache, AWS and
# cargo and RubyGems ("credentials"), Google Cloud, Docker, HashiCorp Vault, s3cmd, Kubernetes.
_NAMES = frozenset(
    b".env .envrc id_rsa id_dsa id_ecdsa id_ecdsa_sk id_ed25519 id_ed25519_sk id_xmss .netrc _netrc .git-credentials "
    b".npmrc .pypirc .pgpass pgpass.conf .my.cnf .htpasswd credentials credentials.json credentials.toml "
    b"credentials.db application_default_credentials.json .dockercfg .vault-token .s3cfg .boto kubeconfig".split()
)
_OWN = (b"litellm-api-config.", b".litellm-api-config.")
"""The config, its backups, and what is written before it is put in their place: names of this package's own."""
_ENDINGS = (b".pem", b".key", b".p12", b".pfx", b".pkcs12", b".keystore", b".jks", b".ppk", b".kdbx")


def holds_secrets(name: bytes) -> bool:
    """Whether a file of this base name holds secrets by convention; letter case does not count.

    `.env.example` and its like are among them: the convention `.env.*` does not say which ones are harmless.

    Args:
        name: A base name.
    """
    lower = name.lower()
    return lower in _NAMES or lower.endswith(_ENDINGS) or lower.startswith((b".env.", *_OWN))
