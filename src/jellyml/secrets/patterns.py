"""The forms of credentials: ``FORMS`` is the only table of them.

A credential is recognised by a characteristic form: the prefix that a service gives to its
keys, the header of a private key, a password in an address. ``search`` finds the strict forms in
bytes. ``redact`` masks the loose forms in the manifest.
"""

from typing import NamedTuple

PRIVATE_KEY = "a private key"

# The letter of \n, \r or \t in a string. Every character below matches in one way only, or hostile
# text would take exponential time.
_ESCAPE = r"(?<=\\)[nrt]"
# What may be between a name and its value: key = "x", "key": "x", key X; escaped in a string too.
_IS = rf"(?:[^\w\n/+-]|{_ESCAPE}){{1,12}}"
_SPACE = rf"(?:[\s\"'\\]|{_ESCAPE}){{1,20}}"
_BASE64 = r"[A-Za-z0-9+/]"
_NO_BASE64 = r"(?![A-Za-z0-9+/=])"
_NO_WORD = r"(?![A-Za-z0-9])"
_NO_NAME = r"(?![\w-])"
# An identifier may be all in lower case; a random key is not.
_MIXED = r"(?![a-z_-]{24})"
_WANDB = (
    rf"(?i:[._ -]?(?:login|(?:api[_-]?)?key))[^\n\w]{{0,6}}(?:key[^\n\w]{{1,4}})?"
    rf"(?P<secret>[0-9a-f]{{40}}){_NO_WORD}"
)
_AWS_SECRET = rf"(?P<secret>(?![0-9a-f]{{40}}){_BASE64}{{40}}){_NO_BASE64}"
_WORD = r"[^\s\"'\\{}<>$]{1,100}"
_NETRC = rf"{_WORD}{_SPACE}login{_SPACE}{_WORD}{_SPACE}(?:account{_SPACE}{_WORD}{_SPACE})?"


class Form(NamedTuple):
    """The form of one kind of credential, as regular expressions.

    ``strict``: for the search, where each match becomes a warning. Each is a pair: literal
    prefixes, of which one is required, and the expression that follows the prefix. Its group
    ``secret`` is the secret if it is not all of the match.
    ``loose``: for the manifest, where a missed secret is worse than a masked word. It is empty
    for a kind that ``redact`` masks by its position or by its name.
    """

    strict: tuple[tuple[str, str], ...]
    loose: tuple[str, ...] = ()


FORMS: dict[str, Form] = {
    PRIVATE_KEY: Form(
        (
            (
                "-----BEGIN ",
                r"(?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
                rf"(?:[\s\"'\\+,#*]|{_ESCAPE}){{0,40}}"
                r"(?:[A-Za-z0-9+/]{32}|Proc-Type|Version|Comment)",
            ),
            # The same in base64, as kubeconfig has it: RSA, EC and PKCS #8.
            (
                "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVkt LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWS0t"
                " LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0t LS0tLS1CRUdJTiBPUEVOU1NIIFBSSVZBVEUgS0VZ",
                _BASE64 + r"{40,8000}={0,2}",
            ),
        ),
        (
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?s:.*?)"
            r"(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\Z)",
            rf"LS0tLS1CRUdJTi{_BASE64}{{40,}}={{0,2}}",
        ),
    ),
    "an AWS key": Form(
        (("AKIA ASIA", r"[A-Z2-7]{16}" + _NO_WORD),),
        (r"A(?:KIA|SIA|BIA|CCA|PKA)[A-Z0-9]{16}",),
    ),
    "an AWS secret key": Form(
        (
            (
                "AKIA ASIA",
                rf"[A-Z2-7]{{16}}{_NO_WORD}[^\0]{{0,80}}?[^A-Za-z0-9/+=]{_AWS_SECRET}",
            ),
            (
                "AWS_SECRET aws_secret SECRET_ACCESS_KEY secret_access_key SecretAccessKey"
                " secretAccessKey secret-access-key aws-secret",
                rf"[A-Za-z_-]{{0,20}}{_IS}{_AWS_SECRET}",
            ),
        ),
    ),
    "an AWS session token": Form(
        (("IQoJb3JpZ2lu FwoGZXIvYXdz", _BASE64 + r"{80,4000}={0,2}"),),
        (rf"(?:IQoJb3JpZ2lu|FwoGZXIvYXdz){_BASE64}{{20,}}={{0,2}}",),
    ),
    "an Azure storage key": Form(
        (
            (
                "AccountKey account_key account-key ACCOUNT_KEY STORAGE_KEY storage_key"
                " storage-key",
                rf"{_IS}(?P<secret>{_BASE64}{{86}}==)",
            ),
        ),
        (rf"(?<=AccountKey=){_BASE64}{{20,}}={{0,2}}",),
    ),
    "an Azure shared access signature": Form(
        (("sig=", rf"(?P<secret>(?:{_BASE64}|%2[BbFf]){{43}}(?:=|%3[Dd]))"),),
        (r"(?<=sig=)(?:[A-Za-z0-9+/]|%2[BbFf]){20,}(?:=|%3[Dd])?",),
    ),
    "an Anthropic key": Form(
        (("sk-ant-", r"[\w-]{30,300}"),),
        (r"sk-ant-(?:[a-z0-9]+-){0,2}\w{20,}[\w-]*",),
    ),
    "a Google key": Form(
        (
            ("AIza", r"[\w-]{35}" + _NO_NAME),
            ("GOCSPX-", r"[\w-]{20,100}"),
            ("ya29.", r"[\w-]{30,2000}"),
        ),
        (r"AIza[\w-]{30,}", r"GOCSPX-[\w-]{20,}", r"ya29\.[\w-]{20,}"),
    ),
    "a Google service account key": Form(
        (("private_key_id", rf"{_IS}(?P<secret>[0-9a-f]{{40}}){_NO_WORD}"),),
        (r"(?<=private_key_id\": \")[0-9a-f]{40}",),
    ),
    "a GitHub token": Form(
        (
            ("ghp_ gho_ ghr_ ghs_ ghu_", r"[A-Za-z0-9]{36,255}"),
            ("github_pat_", r"\w{50,255}"),
        ),
        (r"gh[oprsu]_[A-Za-z0-9]{20,}", r"github_pat_\w{20,}"),
    ),
    "a GitLab token": Form(
        (("glpat- gldt- glrt- glptt- glagent- glsoat-", r"[\w-]{20,300}"),),
        (r"gl[a-z]{2,5}-[\w-]{16,}",),
    ),
    "a Hugging Face token": Form(
        (("hf_", r"[A-Za-z0-9]{30,100}" + _NO_WORD),),
        (r"hf_[A-Za-z0-9]{20,}",),
    ),
    "an OpenAI key": Form(
        (
            ("sk-", r"[A-Za-z0-9]{32,100}" + _NO_NAME),
            ("sk-proj- sk-svcacct- sk-admin- sk-or-v1-", rf"{_MIXED}[\w-]{{32,300}}"),
            ("sk-", r"[\w-]{20,100}T3BlbkFJ[\w-]{20,100}"),
        ),
        (r"sk-(?:[a-z0-9]+-){0,3}\w{20,}[\w-]*",),
    ),
    "a Stripe key": Form(
        (("sk_live_ rk_live_", r"[A-Za-z0-9]{20,300}"),),
        (r"sk_(?:live|test)_\w{10,}", r"rk_(?:live|test)_\w{10,}"),
    ),
    "a Stripe webhook secret": Form(
        (("whsec_", _BASE64 + r"{24,128}={0,2}" + _NO_BASE64),),
        (r"whsec_[A-Za-z0-9+/]{16,}={0,2}",),
    ),
    "a Slack token": Form(
        (
            (
                "xoxa- xoxb- xoxe- xoxe. xoxo- xoxp- xoxr- xoxs-",
                r"(?:xox[bp]-)?[\w-]{20,400}",
            ),
            ("xapp-", r"[\w-]{20,300}"),
        ),
        (r"xox[a-z][-.](?:xox[a-z]-)?[\w-]{10,}", r"xapp-[\w-]{10,}"),
    ),
    "a Slack webhook": Form(
        (
            ("hooks.slack.com/services/", r"T\w{1,20}/B\w{1,20}/\w{16,60}"),
            (
                "hooks.slack.com/workflows/ hooks.slack.com/triggers/",
                r"[TE]\w{1,20}/[\w/]{20,120}",
            ),
        ),
        (r"hooks\.slack\.com/(?:services|workflows|triggers)/[\w/]{20,}",),
    ),
    "a Discord webhook": Form(
        (
            (
                "discord.com/api/webhooks/ discordapp.com/api/webhooks/",
                r"\d{17,20}/[\w-]{60,80}",
            ),
        ),
        (r"discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d{10,}/[\w-]{20,}",),
    ),
    "a SendGrid key": Form(
        (("SG.", r"[\w-]{16,100}\.[\w-]{16,100}"),),
        (r"SG\.[\w-]{16,}\.[\w-]{16,}",),
    ),
    "a Shopify token": Form(
        (("shpat_ shpca_ shppa_ shpss_", r"[A-Fa-f0-9]{32}" + _NO_WORD),),
        (r"shp(?:at|ca|pa|ss)_[A-Za-z0-9]{20,}",),
    ),
    "a DigitalOcean token": Form(
        (("dop_v1_ doo_v1_ dor_v1_", r"[0-9a-f]{64}" + _NO_WORD),),
        (r"do[opr]_v1_[0-9a-f]{20,}",),
    ),
    "a Vault token": Form(
        (
            ("hvs. hvb. hvr.", rf"{_MIXED}[\w-]{{24,400}}"),
            (
                "VAULT_TOKEN vault_token vault-token",
                rf"{_IS}(?P<secret>s\.[A-Za-z0-9]{{24}}){_NO_WORD}",
            ),
        ),
        (r"hv[sbr]\.[\w-]{20,}",),
    ),
    "a Postman key": Form(
        (
            ("PMAK-", r"[0-9a-f]{24}-[0-9a-f]{34}" + _NO_WORD),
            ("PMAT-", r"[0-9A-Za-z]{26}" + _NO_WORD),
        ),
        (r"PMA[KT]-[A-Za-z0-9-]{20,}",),
    ),
    "an npm token": Form(
        (("npm_", r"[A-Za-z0-9]{36}" + _NO_WORD),),
        (r"npm_[A-Za-z0-9]{20,}",),
    ),
    "a PyPI token": Form((("pypi-AgE", r"[\w-]{50,1000}"),), (r"pypi-[\w-]{40,}",)),
    "a Docker token": Form((("dckr_pat_", r"[\w-]{20,100}"),), (r"dckr_pat_[\w-]{20,}",)),
    "a Databricks token": Form(
        (("dapi", r"[0-9a-f]{32}(?:-\d{1,3})?" + _NO_WORD),), (r"dapi[0-9a-f]{32}",)
    ),
    "a Supabase key": Form(
        (
            ("sbp_", r"[0-9a-f]{40}" + _NO_WORD),
            ("sb_secret_", rf"{_MIXED}[\w-]{{31,60}}{_NO_NAME}"),
        ),
        (r"sbp_[0-9a-f]{20,}", r"sb_secret_[\w-]{20,}"),
    ),
    "a Replicate token": Form((("r8_", r"[A-Za-z0-9]{37}" + _NO_WORD),), (r"r8_\w{20,}",)),
    "a Groq key": Form((("gsk_", r"[A-Za-z0-9]{48,100}"),), (r"gsk_\w{20,}",)),
    "an NVIDIA key": Form((("nvapi-", r"[\w-]{40,200}"),), (r"nvapi-[\w-]{20,}",)),
    "an xAI key": Form((("xai-", r"[A-Za-z0-9]{64,100}" + _NO_WORD),), (r"xai-[A-Za-z0-9]{20,}",)),
    "a Perplexity key": Form(
        (("pplx-", r"[A-Za-z0-9]{40,64}" + _NO_WORD),), (r"pplx-[A-Za-z0-9]{20,}",)
    ),
    "an ElevenLabs key": Form((("sk_", r"[0-9a-f]{48}" + _NO_WORD),), (r"sk_[0-9a-f]{40,}",)),
    "a Pinecone key": Form(
        (("pcsk_", r"[A-Za-z0-9]{4,8}_[A-Za-z0-9]{50,80}" + _NO_WORD),),
        (r"pcsk_[A-Za-z0-9]{4,8}_[A-Za-z0-9]{20,}",),
    ),
    "a LangSmith key": Form(
        (("lsv2_pt_ lsv2_sk_", r"[0-9a-z]{32}_[0-9a-z]{10}" + _NO_WORD),),
        (r"lsv2_(?:pt|sk)_\w{20,}",),
    ),
    "a Modal token": Form(
        (("as-", r"[A-Za-z0-9]{22}" + _NO_NAME),),
        (r"as-[A-Za-z0-9]{22}(?![\w-])",),
    ),
    "a Weights & Biases key": Form(
        (("wandb WANDB", _WANDB), ("wandb_v1_ wandb_v2_", r"\w{40,200}")),
        (r"wandb_v\d_\w{20,}",),
    ),
    "a password in .netrc": Form(
        (("machine ", rf"{_NETRC}password{_SPACE}(?P<secret>{_WORD})"),),
        (r"(?<=machine )\S{1,255}\s{1,9}login\s{1,9}\S{1,100}\s{1,9}password\s{1,9}[^\s\"'\\]+",),
    ),
    "a Kubernetes token": Form(
        (
            (
                "user",
                rf"[\\\"']{{0,8}}:(?:[\s{{\\\"']|{_ESCAPE}){{1,60}}token[\\\"']{{0,8}}:"
                rf"[\s\\\"']{{1,12}}{_MIXED}(?P<secret>[\w.:~+/=-]{{20,4000}})",
            ),
        ),
    ),
    "a JSON web token": Form(
        (("eyJ", r"[\w-]{10,500}\.eyJ[\w-]{10,2000}\.[\w-]{10,2000}"),),
        (r"eyJ[\w-]{12,}(?:\.[\w-]*){0,4}",),  # any JSON in base64, including Neptune's keys
    ),
    "a password in an address": Form(
        (
            (
                "://",
                r"[^\s:/@?#'\"<>{}$*%]{1,100}:"
                r"(?P<secret>[^\s:/@?#'\"<>{}$*%]{3,100})@[\w.-]",
            ),
        ),
    ),
}


def loose_forms() -> str:
    """Return one regular expression for all loose forms.

    A form that begins with a letter or digit matches only at the start of a word.
    """
    forms = [form for each in FORMS.values() for form in each.loose]
    bare = "|".join(form for form in forms if not form[0].isalnum())
    prefixed = "|".join(form for form in forms if form[0].isalnum())
    return rf"{bare}|(?<![A-Za-z0-9])(?:{prefixed})"
