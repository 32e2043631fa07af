"""``jellyml git``: use git on the code inside a checkpoint."""

import argparse
from argparse import Namespace

from jellyml.checkpoint.export import run_git
from jellyml.cli.parser import Parser, add_code_dir, add_max_unpacked, add_model
from jellyml.cli.terminal import Terminal

DESCRIPTION = """
Run git with the code inside a checkpoint as a repository: {} in an argument is replaced by
its path. All arguments after model_file go to git, and git's exit code is returned.

examples:
  jellyml git model.pth clone {} look       the whole project, into the folder look
  jellyml git model.pth fetch {}            into this repository, as FETCH_HEAD
  jellyml git model.pth ls-remote {}        only the commit

git can only read from a bundle (clone, fetch, ls-remote, bundle verify). checkout, log or
diff need a repository, so clone or fetch first.

The code is checked first, as for a load, and hooks and file system monitors are off. After
that, git has full control: a clone or checkout of untrusted code can start the filter
programs that your git configuration names.
"""


def add_arguments(parser: Parser) -> None:
    add_model(parser)
    parser.add_argument("args", nargs=argparse.REMAINDER, metavar="ARGS", help="arguments for git")
    add_code_dir(parser)
    add_max_unpacked(parser)


def run(args: Namespace, terminal: Terminal) -> int:
    terminal.flush()
    return run_git(args.model, args.args, args.code_dir, args.max_unpacked)
