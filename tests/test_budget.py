"""The budget of a command: each limit holds, and the message names the part of the work."""

import pytest

from jellyml.budget import STEPS, Budget, Exhausted, Kept


def burn(budget: Budget) -> None:
    for _ in range(10_000_000):
        budget.step()


def test_steps_end_with_the_processor_time() -> None:
    budget = Budget(seconds=0.05)
    with budget.part("the search of model.pth"), pytest.raises(Exhausted) as caught:
        burn(budget)
    assert caught.value.problem.startswith("The search of model.pth was given up: it took more")
    assert "--no-limits" in caught.value.fix


def test_what_is_read_gives_more_time() -> None:
    budget = Budget(seconds=0.0)
    budget.opened(100 << 30)
    budget.bytes_read = 100 << 30  # 1,000 s
    budget.check()


def test_many_readings_of_a_small_file_give_no_more_time() -> None:
    budget = Budget(seconds=-1.0)
    budget.opened(1 << 20)
    budget.bytes_read = 100 << 30
    with pytest.raises(Exhausted):
        budget.check()


def test_a_library_call_has_steps_and_no_deadline() -> None:
    budget = Budget.of_library()
    budget.step(STEPS)
    with pytest.raises(Exhausted, match="steps") as caught:
        budget.step(STEPS)
    assert "--no-limits" not in caught.value.fix


@pytest.mark.parametrize("charge", [Budget.read, Budget.make])
def test_bytes_are_charged_too(charge: object) -> None:
    budget = Budget(seconds=-1.0)
    with pytest.raises(Exhausted):
        charge(budget, 8 << 20)  # type: ignore[operator]


def test_memory_is_refused_before_it_is_taken() -> None:
    budget = Budget(memory=1000)
    budget.keep(800)
    with pytest.raises(Exhausted, match="memory"):
        budget.keep(300)
    budget.drop(200)
    budget.keep(300)


def test_no_limits() -> None:
    budget = Budget.unlimited()
    budget.keep(1 << 50)
    budget.read(1 << 50)
    budget.check()


def test_what_an_object_keeps_is_given_back_with_it() -> None:
    budget = Budget(memory=1000)
    kept = Kept(budget)
    kept.add(900)
    with pytest.raises(Exhausted):
        kept.add(200)
    kept.drop()
    assert budget.kept == 0
