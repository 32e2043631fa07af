"""The code of a run crosses to other processes as what it is."""

import pickle

from conftest import Folder
from jellyml.integrations.run import RunCode
from jellyml.snapshot import Snapshot


def test_it_pickles_before_and_after_the_capture(repo: Folder) -> None:
    code = RunCode(repo.path)
    assert pickle.loads(pickle.dumps(code)).snapshot.commit
    taken = code.take()
    again = pickle.loads(pickle.dumps(code)).snapshot
    assert type(again) is Snapshot
    assert (again.filling, again.manifest) == (taken.filling, taken.manifest)
    assert again.commit == taken.commit
