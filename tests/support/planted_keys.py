"""Made-up credentials of every form, planted in files."""

SIGNS = "aB3dE6gH9jK2mN5pQ8sT1vW4xY7zC0fG"  # none of these is a key of anybody
LETTERS = "abCdeFghIjkLmnOpqRstUvwXyzAbCdEf"
HEX = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"

# Put together here, so that no scanner of repositories takes this file for a leak.
PLANTED = {
    "a private key": "-----BEGIN RSA PRIVATE" + " KEY-----\n" + "MIIEpAIBAAKCAQEA7" * 4,
    "an AWS key": "AKIA" + "Q3EG5W7YXZ2ABCDE"[:16].replace("8", "A"),
    "an Anthropic key": "sk-ant-" + "api03-" + SIGNS,
    "a Google key": "AIza" + SIGNS + "abc",
    "a GitHub token": "ghp_" + SIGNS + "aB3d",
    "a GitLab token": "glpat-" + SIGNS[:20],
    "a Hugging Face token": "hf_" + LETTERS + "gh",
    "an OpenAI key": "sk-proj-" + SIGNS + SIGNS,
    "a Stripe key": "sk_live_" + SIGNS[:24],
    "a Slack token": "xoxb-" + "123456789012-" + SIGNS[:24],
    "a Slack webhook": "https://hooks.slack.com/services/" + "T012AB3/B045CD6/" + SIGNS[:24],
    "a SendGrid key": "SG." + SIGNS[:22] + "." + SIGNS,
    "an npm token": "npm_" + SIGNS + "aB3d",
    "a PyPI token": "pypi-AgE" + SIGNS + SIGNS,
    "a Docker token": "dckr_pat_" + SIGNS[:27],
    "a Databricks token": "dapi" + HEX,
    "a Replicate token": "r8_" + SIGNS + "aB3dE",
    "a Groq key": "gsk_" + SIGNS + SIGNS[:20],
    "an NVIDIA key": "nvapi-" + SIGNS + SIGNS,
    "a Weights & Biases key": "WANDB_API_" + 'KEY="' + HEX + "0a1b2c3d" + '"',
    "a JSON web token": "eyJ" + LETTERS + ".eyJ" + LETTERS + "." + SIGNS,
    "a password in an address": "postgresql://alice:s3cr3t-" + "pw@db.example.org/runs",
}
