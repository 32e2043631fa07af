"""Made-up credentials of every form: planted in files, or random ones in any number."""

import random
import string
from collections.abc import Callable
from typing import TypeAlias

SIGNS = "aB3dE6gH9jK2mN5pQ8sT1vW4xY7zC0fG"  # none of these is a key of anybody
LETTERS = "abCdeFghIjkLmnOpqRstUvwXyzAbCdEf"
HEX = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"

# Put together here, so that no scanner of repositories takes this file for a leak.
PLANTED = {
    "a private key": "-----BEGIN RSA PRIVATE" + " KEY-----\n" + "MIIEpAIBAAKCAQEA7" * 4,
    "an AWS key": "AKIA" + "Q3EG5W7YXZ2ABCDE"[:16].replace("8", "A"),
    "an AWS secret key": "aws_secret_access_" + "key = " + SIGNS + "/abc+DEF",
    "an AWS session token": "IQoJb3JpZ2lu" + (SIGNS + "/+") * 4,
    "an Azure storage key": "Account" + "Key=" + (SIGNS + SIGNS + SIGNS)[:86] + "==",
    "an Azure shared access signature": "?sv=2022-11-02&" + "sig=" + (SIGNS + SIGNS)[:43] + "%3D",
    "an Anthropic key": "sk-ant-" + "api03-" + SIGNS,
    "a Google key": "AIza" + SIGNS + "abc",
    "a Google service account key": "private_key_" + 'id": "' + HEX + "0a1b2c3d",
    "a GitHub token": "ghp_" + SIGNS + "aB3d",
    "a GitLab token": "glpat-" + SIGNS[:20],
    "a Hugging Face token": "hf_" + LETTERS + "gh",
    "an OpenAI key": "sk-proj-" + SIGNS + SIGNS,
    "a Stripe key": "sk_live_" + SIGNS[:24],
    "a Stripe webhook secret": "whsec_" + SIGNS,
    "a Slack token": "xoxb-" + "123456789012-" + SIGNS[:24],
    "a Slack webhook": "https://hooks.slack.com/services/" + "T012AB3/B045CD6/" + SIGNS[:24],
    "a Discord webhook": "https://discord.com/api/webhooks/" + "123456789012345678/" + SIGNS * 2,
    "a SendGrid key": "SG." + SIGNS[:22] + "." + SIGNS,
    "a Shopify token": "shpat_" + HEX,
    "a DigitalOcean token": "dop_v1_" + HEX + HEX,
    "a Vault token": "hvs." + SIGNS * 3,
    "a Postman key": "PMAK-" + HEX[:24] + "-" + HEX + "0a",
    "an npm token": "npm_" + SIGNS + "aB3d",
    "a PyPI token": "pypi-AgE" + SIGNS + SIGNS,
    "a Docker token": "dckr_pat_" + SIGNS[:27],
    "a Databricks token": "dapi" + HEX,
    "a Supabase key": "sb_secret_" + SIGNS[:22] + "_" + SIGNS[:8],
    "a Replicate token": "r8_" + SIGNS + "aB3dE",
    "a Groq key": "gsk_" + SIGNS + SIGNS[:20],
    "an NVIDIA key": "nvapi-" + SIGNS + SIGNS,
    "an xAI key": "xai-" + SIGNS + SIGNS + SIGNS[:16],
    "a Perplexity key": "pplx-" + SIGNS + SIGNS[:16],
    "an ElevenLabs key": "sk_" + HEX + HEX[:16],
    "a Pinecone key": "pcsk_" + SIGNS[:6] + "_" + SIGNS + SIGNS[:31],
    "a LangSmith key": "lsv2_pt_" + HEX + "_" + HEX[:10],
    "a Modal token": "as-" + SIGNS[:22],
    "a Weights & Biases key": "WANDB_API_" + 'KEY="' + HEX + "0a1b2c3d" + '"',
    "a password in .netrc": "machine example.org login alice password s3cr3t-" + "pw",
    "a Kubernetes token": "user: token: " + SIGNS,
    "a JSON web token": "eyJ" + LETTERS + ".eyJ" + LETTERS + "." + SIGNS,
    "a password in an address": "postgresql://alice:s3cr3t-" + "pw@db.example.org/runs",
}

_ALNUM = string.ascii_letters + string.digits
_URL = _ALNUM + "_-"
_BASE64 = _ALNUM + "+/"
_HEX = "0123456789abcdef"

Dice: TypeAlias = random.Random
Assignments: TypeAlias = dict[str, str]
"""Variable -> value; the last value is, or contains, the secret, which is returned beside it."""


def _of(alphabet: str, size: int) -> Callable[[Dice], str]:
    return lambda dice: "".join(dice.choices(alphabet, k=size))


def _key(variable: str, prefix: str, *bodies: Callable[[Dice], str]) -> "Maker":
    """Return the maker of keys of a prefix and the parts that follow it."""

    def make(dice: Dice) -> tuple[Assignments, str]:
        value = prefix + "".join(body(dice) for body in bodies)
        return {variable: value}, value

    return make


def _in(variable: str, text: str, secret: Callable[[Dice], str]) -> "Maker":
    """Return the maker of texts with a secret in place of ``@@``."""

    def make(dice: Dice) -> tuple[Assignments, str]:
        value = secret(dice)
        return {variable: text.replace("@@", value)}, value

    return make


def _dash(dice: Dice) -> str:
    return "-"


def _low(dice: Dice) -> str:
    return "_"


def _aws(dice: Dice) -> tuple[Assignments, str]:
    secret = _of(_BASE64, 40)(dice)
    key = "AK" + "IA" + _of(string.ascii_uppercase + "234567", 16)(dice)
    return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}, secret


Maker: TypeAlias = Callable[[Dice], tuple[Assignments, str]]

_PEM = "-----BEGIN PRIVATE" + " KEY-----\n@@\n-----END PRIVATE" + " KEY-----\n"

# The documented formats. A form with several prefixes has one maker a prefix.
MAKERS: dict[str, tuple[Maker, ...]] = {
    "a private key": (_in("PEM", _PEM, _of(_BASE64, 64)),),
    "an AWS key": (
        _key("AWS_KEY", "AK" + "IA", _of(string.ascii_uppercase + "234567", 16)),
        _key("AWS_KEY", "AS" + "IA", _of(string.ascii_uppercase + "234567", 16)),
    ),
    "an AWS secret key": (_aws,),
    "an AWS session token": (
        _key("AWS_SESSION_TOKEN", "IQoJb3JpZ2lu", _of(_BASE64, 350)),
        _key("AWS_SESSION_TOKEN", "FwoGZXIvYXdz", _of(_BASE64, 350)),
    ),
    "an Azure storage key": (
        _in(
            "AZURE_CONNECTION",
            "DefaultEndpointsProtocol=https;AccountName=runs;Account" + "Key=@@==;"
            "EndpointSuffix=core.windows.net",
            _of(_BASE64, 86),
        ),
        _in("AZURE_STORAGE_KEY", "@@==", _of(_BASE64, 86)),
    ),
    "an Azure shared access signature": (
        _in(
            "AZURE_SAS",
            "https://runs.blob.core.windows.net/c?sv=2022-11-02&sp=rl&" + "sig=@@%3D",
            lambda dice: _of(_BASE64, 43)(dice).replace("+", "%2B").replace("/", "%2F"),
        ),
    ),
    "an Anthropic key": (
        _key("ANTHROPIC_KEY", "sk-ant-" + "api03-", _of(_URL, 93), lambda _: "AA"),
    ),
    "a Google key": (
        _key("GOOGLE_KEY", "AIza", _of(_URL, 35)),
        _key("CLIENT", "GOCSPX-", _of(_URL, 28)),
        _key("ACCESS", "ya29.", _of(_URL, 160)),
    ),
    "a Google service account key": (
        _in(
            "SERVICE_ACCOUNT",
            '{"type": "service_account", "private_key_' + 'id": "@@"}',
            _of(_HEX, 40),
        ),
    ),
    "a GitHub token": (
        *(_key("GITHUB", f"gh{kind}_", _of(_ALNUM, 36)) for kind in "oprsu"),
        _key("GITHUB", "github_pat_", _of(_ALNUM, 22), _low, _of(_ALNUM, 59)),
    ),
    "a GitLab token": (_key("GITLAB", "glpat-", _of(_URL, 20)),),
    "a Hugging Face token": (_key("HF", "hf_", _of(string.ascii_letters, 34)),),
    "an OpenAI key": (
        _key("OPENAI", "sk-", _of(_ALNUM, 20), lambda _: "T3BlbkFJ", _of(_ALNUM, 20)),
        _key("OPENAI", "sk-proj-", _of(_ALNUM, 1), _of(_URL, 155)),
    ),
    "a Stripe key": (
        _key("STRIPE", "sk_" + "live_", _of(_ALNUM, 24)),
        _key("STRIPE", "rk_" + "live_", _of(_ALNUM, 99)),
    ),
    "a Stripe webhook secret": (
        _key("STRIPE_HOOK", "whsec_", _of(_ALNUM, 32)),
        _key("STRIPE_HOOK", "whsec_", _of(_HEX, 64)),
    ),
    "a Slack token": (
        _key(
            "SLACK",
            "xoxb-",
            _of(string.digits, 12),
            _dash,
            _of(string.digits, 12),
            _dash,
            _of(_ALNUM, 24),
        ),
        _key("SLACK", "xapp-1-A", _of(string.digits, 10), _dash, _of(_HEX, 64)),
    ),
    "a Slack webhook": (
        _in("HOOK", "https://hooks.slack.com/services/T012AB3CD/B045CD6EF/@@", _of(_ALNUM, 24)),
    ),
    "a Discord webhook": (
        _in("HOOK", "https://discord.com/api/webhooks/1234567890123456789/@@", _of(_URL, 68)),
        _in("HOOK", "https://discordapp.com/api/webhooks/123456789012345678/@@", _of(_URL, 68)),
    ),
    "a SendGrid key": (_key("MAIL", "SG.", _of(_URL, 22), lambda _: ".", _of(_URL, 43)),),
    "a Shopify token": tuple(
        _key("SHOP", f"shp{kind}_", _of(_HEX, 32)) for kind in ("at", "ca", "pa", "ss")
    ),
    "a DigitalOcean token": tuple(_key("OCEAN", f"do{kind}_v1_", _of(_HEX, 64)) for kind in "opr"),
    "a Vault token": (
        _key("VAULT", "hvs.", _of(_URL, 91)),
        _key("VAULT", "hvb.", _of(_URL, 140)),
        _in("VAULT_TOKEN", "s.@@", _of(_ALNUM, 24)),
    ),
    "a Postman key": (_key("POSTMAN", "PMAK-", _of(_HEX, 24), _dash, _of(_HEX, 34)),),
    "an npm token": (_key("NPM", "npm_", _of(_ALNUM, 36)),),
    "a PyPI token": (_key("PYPI", "pypi-AgEIcHlwaS5vcmc", _of(_URL, 150)),),
    "a Docker token": (_key("DOCKER", "dckr_pat_", _of(_URL, 27)),),
    "a Databricks token": (_key("BRICKS", "dapi", _of(_HEX, 32)),),
    "a Supabase key": (
        _key("SUPABASE", "sbp_", _of(_HEX, 40)),
        _key("SUPABASE", "sb_secret_", _of(_URL, 22), _low, _of(_URL, 8)),
    ),
    "a Replicate token": (_key("REPLICATE", "r8_", _of(_ALNUM, 37)),),
    "a Groq key": (_key("GROQ", "gsk_", _of(_ALNUM, 52)),),
    "an NVIDIA key": (_key("NVIDIA", "nvapi-", _of(_URL, 64)),),
    "an xAI key": (_key("XAI", "xai-", _of(_ALNUM, 80)),),
    "a Perplexity key": (_key("PERPLEXITY", "pplx-", _of(_ALNUM, 48)),),
    "an ElevenLabs key": (_key("ELEVEN", "sk_", _of(_HEX, 48)),),
    "a Pinecone key": (_key("PINECONE", "pcsk_", _of(_ALNUM, 6), _low, _of(_ALNUM, 63)),),
    "a LangSmith key": (_key("LANGSMITH", "lsv2_pt_", _of(_HEX, 32), _low, _of(_HEX, 10)),),
    "a Modal token": (_key("MODAL", "as-", _of(_ALNUM, 22)),),
    "a Weights & Biases key": (
        _in("WANDB_API_KEY", "@@", _of(_HEX, 40)),
        _key("WANDB", "wandb_v1_", _of(_ALNUM, 77)),
    ),
    "a password in .netrc": (
        _in("NETRC", "machine api.example.org\n  login alice\n  password @@\n", _of(_ALNUM, 12)),
    ),
    "a Kubernetes token": (
        _in("KUBE", "users:\n- name: me\n  user:\n    token: @@\n", _of(_ALNUM, 40)),
    ),
    "a JSON web token": (
        _key("JWT", "eyJhbGciOiJIUzI1NiJ9.eyJ", _of(_URL, 60), lambda _: ".", _of(_URL, 43)),
    ),
    "a password in an address": (
        _in("DATABASE", "postgresql://alice:@@@db.example.org/runs", _of(_ALNUM, 12)),
    ),
}
