import json
import random
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jellyml.secrets import patterns
from jellyml.secrets.redact import (
    ANY_FIELD,
    MASK,
    Rules,
    is_secret,
    mask_arguments,
    mask_data,
    mask_named,
    mask_text,
    mask_url,
    redact_tree,
)
from planted_keys import PLANTED

SECRET_NAMES = """
    --api-key --api_key --apikey --API_KEY apiKey wandb.api_key +wandb.api_key OPENAI_API_KEY
    WANDB_API_KEY AWS_SECRET_ACCESS_KEY AWS_ACCESS_KEY_ID AccountKey aws.s3.key --key key key2
    --ssh-private-key license_key storage_account_key --api-keys
    --token token hf_token HF_TOKEN hub-token HUGGING_FACE_HUB_TOKEN github_token oauth2token
    authToken auth_tokens bot_token access_token2 --use-auth-token session_token hftoken
    secret client_secret secrets.openai SECRET_KEY
    password passwd pwd pw db_password dbpassword --password2 PGPASSWORD db_pass MYSQL_PWD
    passphrase credentials credential aws_creds --creds
    auth --auth basic_auth proxy-auth oauth authorization Proxy-Authorization bearer
"""

ORDINARY_NAMES = """
    monkey --monkey --keyboard turkey keys state_dict_keys keypoints keyframe
    key_dim key_padding_mask num_key_value_heads image_key --label-key sort_key monitor-key
    prng_key public_key key_file
    tokenizer tokenizer.name tokens --num-tokens max_tokens max_new_tokens n_tokens token_count
    pad_token eos-token model.bos_token mask_token special_token next_token max_token token_mixer
    token_embedding tokenize detokenize tokens_per_second token.dim
    author authors authority pass_rate passes bypass compass passport first_pass low_pass
    secretary password_file secret_name --token-file api_key_env credentials_path auth_type
    password_length auth_url pw_conv lr model data/x pwdist
"""


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_what_is_called_a_secret_is_masked(name: str) -> None:
    assert mask_named(name, "hunter two") == MASK
    assert mask_arguments([f"{name}=hunter,two"]) == [f"{name}={MASK}"]
    if name.startswith("--"):
        assert mask_arguments([name, "hunter,two", "data.csv"])[:2] == [name, MASK]


@pytest.mark.parametrize("name", ORDINARY_NAMES.split())
def test_what_is_called_otherwise_is_kept(name: str) -> None:
    assert mask_named(name, "hunter two") == "hunter two"
    assert mask_arguments([f"{name}=hunter,two"]) == [f"{name}=hunter,two"]
    assert mask_arguments([name, "hunter,two"]) == [name, "hunter,two"]


@pytest.mark.parametrize(
    "line",
    [
        "train.py --monkey 3 --keyboard us tokenizer=bert --num-tokens 5 max_tokens=5",
        "train.py --use-auth-token True --token=false key=3 --auth no token=1e-4",
        "train.py -p 8080 -k 5 --key-dim 64 --image-key=jpg --lr=3e-4 --bs 32",
        "-m torch.distributed.run --nproc_per_node 8 train.py +experiment=base",
        "train.py --resume 0123456789abcdef0123456789abcdef01234567",
        f"train.py --digest sha256:{'0123456789abcdef' * 4} --image img:tag@sha256:abc",
        "train.py --name ResNet50-cosine_lr1e-5_bs32_Seed42 --model Qwen/Qwen2.5-VL-7B-Instruct",
        "train.py --class Wav2Vec2ForSequenceClassification T5ForConditionalGeneration",
        "train.py --data https://example.org:8080/a/b.zip --env s3://bucket/@user/x",
        "train.py --run sk-learn-model-baseline-v2-long-name --task disk-aaaaaaaaaaaaaaaaaaaaaaaa",
        "train.py --repo git@github.com:somebody/something.git git+https://host/a@v1.0",
    ],
)  # fmt: skip
def test_an_ordinary_command_line_stays_as_it_is(line: str) -> None:
    assert mask_arguments(line.split()) == line.split()


@pytest.mark.parametrize(
    ("given", "masked"),
    [
        (["--api-key", "x", "train"], ["--api-key", MASK, "train"]),
        (["--api_key=x"], ["--api_key=***"]),
        (["-token", "x"], ["-token", MASK]),
        (["--token", "-x"], ["--token", MASK]),
        (["--token", "--verbose", "x"], ["--token", "--verbose", "x"]),
        (["--api-keys", "a", "b", "--lr", "1"], ["--api-keys", MASK, MASK, "--lr", "1"]),
        (["--password", "1234"], ["--password", MASK]),
        (["--password=a\nb"], ["--password=***"]),
        (["KEY=VALUE"], ["KEY=***"]),
        (["++trainer.logger.api_key='x y'"], ["++trainer.logger.api_key=***"]),
        (['{"token": "x", "lr": 1}'], ['{"token": "***", "lr": 1}']),
        (['--config={"a": {"api_key":"x"}}'], ['--config={"a": {"api_key":"***"}}']),
        ([r"--config={\"token\": \"x\"}"], [r"--config={\"token\": \"***\"}"]),
        (["logger={name:wandb,api_key:x}"], ["logger={name:wandb,api_key:***}"]),
        (["--db=postgres://me:pw@db/x?ssl=1"], ["--db=postgres://***@db/x?***"]),
        (["--header", "Authorization: Bearer abc123"], ["--header", "Authorization: *** ***"]),
    ],
)
def test_a_command_line(given: list[str], masked: list[str]) -> None:
    assert mask_arguments(given) == masked


# Made up, in the form of real ones; in two parts, or scanners would report this file.
TOKENS = [
    "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYz12345678",
    "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a",
    "gho_" + "16C7e42F292c6912E7710c838347Ae178B4a",
    "github_pat_" + "11ABCDEFG0aBcDeFgHiJkL_mNoPqRsTuVwXyZ",
    "glpat-" + "AbCdEfGh-IjKlMnOpQrS",
    "sk-" + "AbCdEfGhIjKlMnOpQrStT3BlbkFJAbCdEfGhIjKlMnOpQrSt",
    "sk-proj-" + "AbCdEfGhIjKlMnOpQrStUv_x-AbCdEfGhIjKl",
    "sk-ant-api03-" + "AbCdEfGhIjKlMnOpQrStUv_x-AbCdEfGhIjKl",
    "AKIA" + "IOSFODNN7EXAMPLE",
    "ASIA" + "IOSFODNN7EXAMPLE",
    "xoxb-" + "123456789012-AbCdEfGhIjKlMnOp",
    "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
    "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    "sk_live_" + "AbCdEfGhIjKlMnOpQrSt",
    "npm_" + "AbCdEfGhIjKlMnOpQrStUvWxYz1234567890",
    "-----BEGIN RSA PRIVATE KEY-----" + "\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
    "wJalrXUtnFEMI7K7MDENGbPxRfiCYEXAMPLEKEY1",
]


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("place", ["{}", "run_{}", "--x={}", "print('{}')", "a {} b", "/x/{}/y"])
def test_a_token_is_known_by_its_form(token: str, place: str) -> None:
    masked = mask_text(place.format(token))

    assert masked == place.format(MASK)


def test_a_private_key_without_an_end_is_masked_to_the_end_of_the_text() -> None:
    assert mask_text("x = '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnN\nzaC1r") == "x = '***"


def test_long_random_strings_are_masked_and_digests_are_not() -> None:
    dice = random.Random(1)
    alphabet = string.ascii_letters + string.digits
    tokens = ["".join(dice.choices(alphabet, k=40)) for _ in range(1000)]
    digests = ["".join(dice.choices("0123456789abcdef", k=size)) for size in (40, 64) * 100]

    assert sum(mask_text(token) != token for token in tokens) >= 990
    assert [mask_text(digest) for digest in digests] == digests
    assert mask_named("WANDB_API_KEY", digests[0]) == MASK
    assert mask_text(f"!wandb login {digests[0]}") == "!wandb login ***"


@pytest.mark.parametrize(
    ("given", "masked"),
    [
        ('token = "abc"', 'token = "***"'),
        ("token: str = 'abc'", "token: str = '***'"),
        ('wandb.login(key="abc", relogin=True)', 'wandb.login(key="***", relogin=True)'),
        ('os.environ["HF_TOKEN"] = "abc"', 'os.environ["HF_TOKEN"] = "***"'),
        ('os.environ.setdefault("HF_TOKEN", "abc")', 'os.environ.setdefault("HF_TOKEN", "***")'),
        ('secret = """a\nb"""\nx = 1', 'secret = """***"""\nx = 1'),
        ('secret = """a\nb', 'secret = """***'),
        ("password = 'token=abc12345 x'", "password = '***'"),
        ('if (token := "abc"): ...', 'if (token := "***"): ...'),
        ('if token == "abc": ...', 'if token == "***": ...'),
        (":token => 'abc'", ":token => '***'"),
        (r'password = "a\"b" + c', 'password = "***" + c'),
        ('password = f"a{b}"', 'password = f"***"'),
        ("%env WANDB_API_KEY=abc", "%env WANDB_API_KEY=***"),
        ("%env WANDB_API_KEY abc", "%env WANDB_API_KEY ***"),
        ("%set_env HF_TOKEN abc", "%set_env HF_TOKEN ***"),
        ("%env HF_TOKEN\nlr = 1", "%env HF_TOKEN\nlr = 1"),
        ("-H 'Authorization: Basic dXNlcjpw'", "-H 'Authorization: *** ***'"),
        ("{'Authorization': f'Token abc'}", "{'Authorization': f'***'}"),
        ("!python a.py --api-key abc --lr 1", "!python a.py --api-key *** --lr 1"),
        ('run(["a.py", "--token", "abc", "-v"])', 'run(["a.py", "--token", "***", "-v"])'),
        ("export AWS_SECRET_ACCESS_KEY=abc; ls", "export AWS_SECRET_ACCESS_KEY=***; ls"),
        ("password: hunter\nuser: bob\n", "password: ***\nuser: bob\n"),
        ("Namespace(lr=0.1, token='abc')", "Namespace(lr=0.1, token='***')"),
        ("curl -H 'Authorization: Bearer abcdefgh1'", "curl -H 'Authorization: *** ***'"),
        ("!curl -u bob:hunter2 https://h/x", "!curl -u bob:*** https://h/x"),
        ("curl -sS \\\n --user 'bob:hunter2' h", "curl -sS \\\n --user 'bob:***' h"),
        ("curl --proxy-user=bob:hunter2 h", "curl --proxy-user=bob:*** h"),
        ('run(["curl", "-ubob:hunter2", h])', 'run(["curl", "-ubob:***", h])'),
        ('run(["curl", "-u", "bob:hunter2"])', 'run(["curl", "-u", "bob:***"])'),
        ("curl h | docker run -u 1000:1000 x", "curl h | docker run -u 1000:1000 x"),
        ('get(h, auth=("bob", "hunter2"))', 'get(h, auth=("bob", "***"))'),
        ("HTTPBasicAuth('bob', 'hunter2')", "HTTPBasicAuth('bob', '***')"),
        ("pip install -i https://u:p@h/simple x", "pip install -i https://***@h/simple x"),
        ("get('https://h/x?sig=abc&y=1')", "get('https://h/x?***')"),
        ("see https://h/x#part", "see https://h/x#***"),
        ("proxy = 'bob:hunter2@proxy.corp:3128'", "proxy = '***@proxy.corp:3128'"),
    ],
)
def test_a_text(given: str, masked: str) -> None:
    assert mask_text(given) == masked


@pytest.mark.parametrize(
    "code",
    [
        "sorted(words, key=len)",
        "sorted(words, key=lambda word: word[1])",
        "key = jax.random.PRNGKey(0)",
        "key, sub = jax.random.split(key)",
        "token = tokenizer.decode(ids[0])",
        "for token in tokens: print(token)",
        "password = getpass.getpass('your word')",
        "secret = os.environ['X']",
        "def f(key: jax.Array, token: int = 3) -> None: ...",
        "if token is None and auth: raise ValueError('no way in')",
        "d = {'tokens': 3, 'max_tokens': 5, 'pad_token': '<pad>', 'key': 7}",
        "x = a[key]; y = {key: 1}",
        "from https import x  # https://example.org/a/b.html",
    ],
)
def test_code_about_keys_and_tokens_stays_as_it_is(code: str) -> None:
    assert mask_text(code) == code


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://github.com/a/b.git", "https://github.com/a/b.git"),
        ("https://bob@github.com/a/b.git", "https://github.com/a/b.git"),
        ("https://bob:pw@github.com/a/b.git", "https://github.com/a/b.git"),
        ("https://oauth2:pw@h:8443/a?private_token=x#y", "https://h:8443/a"),
        ("https://h/simple?token=x", "https://h/simple"),
        ("https://h/simple/#token", "https://h/simple/"),
        ("https://h/a@v1/b", "https://h/a@v1/b"),
        ("https://bob:p/w@h/a", "https://h/a"),
        ("https://bob:p#w@h/a", "https://h/a"),
        ("https://bob:p?w@h/a", "https://h/a"),
        ("https://bob:p@w@h/a", "https://h/a"),
        ('https://bob:p"w@h/a', "https://h/a"),
        ("https://bob:pw", "https://"),
        ("https://h:8080/a@b", "https://h:8080/a@b"),
        ("http://[::1]:8080/a@b", "http://[::1]:8080/a@b"),
        ("ssh://git@h:22/a.git", "ssh://git@h:22/a.git"),
        ("ssh://bob@h/a.git", "ssh://h/a.git"),
        ("git@github.com:a/b.git", "git@github.com:a/b.git"),
        ("bob@h:a/b.git", "h:a/b.git"),
        ("bob:pw@h:a/b.git", "h:a/b.git"),
        ("/srv/a@b:c/x.git", "/srv/a@b:c/x.git"),
        ("../x?y#z", "../x?y#z"),
        (r"C:\Users\x", r"C:\Users\x"),
        ("file:///srv/x.git", "file:///srv/x.git"),
        (f"https://h/{TOKENS[0]}/simple", "https://h/***/simple"),
        ("bob@secret-host:a.git", "secret-host:a.git"),
        ("ext::sh -c 'token=abcdefgh12'", "ext::sh -c 'token=***'"),
        ("https://secrets.corp:8443/a", "https://secrets.corp:8443/a"),
        ("", ""),
    ],
)
def test_an_address_keeps_only_where_to_go(url: str, masked: str) -> None:
    assert mask_url(url) == masked


def test_notes_are_masked_at_every_depth() -> None:
    notes = {
        "lr": 0.1,
        "token": "abc",
        "password": 1234,
        "tokens": 10**9,
        "use_token": True,
        "args": {"api_keys": ["a", "b"], "key": 3, "command": "--password abc"},
        "credentials": {"user": "bob", "value": "abc"},
        "nothing": None,
        "argv": ["t.py", "--api-key", "abc", "--lr", 0.1, "--pin", "--token", 10**12],
        "hf_" + "AbCdEfGhIjKlMnOpQrStUvWx": 1,
    }

    assert mask_data(notes) == {
        "lr": 0.1,
        "token": MASK,
        "password": MASK,
        "tokens": 10**9,
        "use_token": True,
        "args": {"api_keys": [MASK, MASK], "key": 3, "command": "--password ***"},
        "credentials": {"user": MASK, "value": MASK},
        "nothing": None,
        "argv": ["t.py", "--api-key", MASK, "--lr", 0.1, "--pin", "--token", MASK],
        MASK: 1,
    }


@given(st.text())
def test_any_text_can_be_masked_and_once_is_enough(text: str) -> None:
    once = mask_text(text)

    assert mask_text(once) == once
    assert mask_arguments([text, text]) == mask_arguments([text, text])
    mask_url(text)
    is_secret(text, text)


@given(st.text(st.characters(codec="utf-8"), min_size=6).filter(lambda text: "*" not in text))
def test_no_secret_passes_in_json_whatever_it_holds(secret: str) -> None:
    secret = f"S{secret}S"

    masked = mask_text(json.dumps({"a": 1, "password": secret, "b": 2}))

    assert masked == '{"a": 1, "password": "***", "b": 2}'


@pytest.mark.parametrize(
    "text",
    ["a" * 200_000, "a." * 100_000, "key" * 70_000, "key=" * 50_000, 'key="' * 40_000,
     "token " * 40_000, "x://" * 50_000, "a:b@" * 50_000, "-----BEGIN PRIVATE KEY-----" * 8_000,
     "eyJ" * 70_000, "--k " * 50_000, "'" * 200_000, '\\"' * 100_000, "aB1" * 70_000,
     "curl " * 40_000, "curl -u" + "a" * 99 + " " * 100_000, 'auth=("a", ' * 20_000],
    ids=lambda text: text[:8],
)  # fmt: skip
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()

    mask_text(text)

    assert time.process_time() - began < 60


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("place", ["{}", "x = '{}'", "a {} b"])
def test_every_kind_that_the_search_finds_is_masked(kind: str, place: str) -> None:
    secret = PLANTED[kind].rstrip("=").rpartition("=")[2].strip('"').rpartition("\n")[2]

    masked = mask_text(place.format(PLANTED[kind]))

    assert MASK in masked
    assert secret not in masked
    assert "s3cr3t" not in masked


def test_a_form_without_a_loose_one_is_masked_by_its_place() -> None:
    without = {kind for kind, form in patterns.FORMS.items() if not form.loose}

    assert without == {"an AWS secret key", "a Kubernetes token", "a password in an address"}


def test_a_section_is_masked_by_what_its_fields_are() -> None:
    token = TOKENS[0]
    section = {
        "branch": f"fix/{token}",
        token: [{"path": token}, 1, None],
        "remotes": {"origin": "https://bob:pw@h/a", "text": "https://bob:pw@h/b?x=y"},
        "error": "password = 'abc'",
        "argv": ["--token", "abc"],
        "other": "password = 'abc'",
    }
    rules: Rules = {"remotes": {ANY_FIELD: "address"}, "error": "text", "argv": "arguments"}

    assert redact_tree(section, rules) == {
        "branch": "fix/***",
        MASK: [{"path": MASK}, 1, None],
        "remotes": {"origin": "https://h/a", "text": "https://h/b"},
        "error": "password = '***'",
        "argv": ["--token", MASK],
        "other": "password = 'abc'",
    }
    assert redact_tree({"a": [section]}, {"a": rules})["a"][0] == redact_tree(section, rules)
    assert redact_tree({"user": {"token": "abc"}}, "notes") == {"user": {"token": MASK}}
