"""A retrain from beginning to end; docs/retrain.md tells it step by step.

The order is what makes it safe to be killed: what is computed is kept by DVC, what is committed is
found again by a ref, and nothing but the last step changes what a user sees.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from sgseg.errors import InputError, Problem
from sgseg.registry.history import now
from sgseg.retrain import delivery as deliver
from sgseg.retrain import settings
from sgseg.retrain.checks import (
    check_place,
    check_tree,
    mend_lock_file,
    raw_data,
    raw_file,
)
from sgseg.retrain.delivery import LOCK_FILE, LOG, Delivery
from sgseg.retrain.dvc import Dvc, changes_in_short, outputs
from sgseg.retrain.git import Repository
from sgseg.retrain.job import Job, Tools, Wish, begin, is_wished
from sgseg.retrain.lock import BusyError, only_retrain
from sgseg.retrain.outcome import FILE, FOLDER, Outcome, What, tell_github, write_outcome

logger = logging.getLogger(__name__)

MODEL, NUMBERS = "promote", "quantify"
"""Stages: the last on the way to a model, and the one that measures with it."""
DATA_STAGES = ("ingest", "validate")
PROPOSE = {"SGSEG_PROPOSE": "1"}
SUMMARY = "summary.md"


def retrain(wish: Wish, tools: Tools | None = None) -> Outcome:
    """Train anew if something has changed, have the gate compare, and propose the result.

    Raises
    ------
    InputError
        Something that the user can mend: no repository, changes that are not committed, data that
        cannot be fetched, a stage that stopped.
    """
    started = now()
    wish = replace(wish, root=wish.root.resolve())
    check_place(wish.root)
    try:
        with only_retrain(wish.root, since=started, wait=wish.wait) as lock:
            (wish.root / FOLDER / FILE).unlink(missing_ok=True)
            tools = tools or Tools()
            found = _retrain(wish, tools.dvc(wish.root, (lock,)), tools)
            found = replace(found, started=started, ended=now())
            write_outcome(wish.root / FOLDER, found)
    except BusyError as error:
        reason = f"Another retrain runs in this clone: {error}."
        found = Outcome("gave way", reasons=(reason,), started=started, ended=now())
    tell_github(found, wish.root / FOLDER / SUMMARY)
    return found


def _retrain(wish: Wish, dvc: Dvc, tools: Tools) -> Outcome:
    repository = Repository(wish.root)
    base = repository.commit_of("HEAD")
    assert base is not None
    left = deliver.unfinished(repository)
    if left is not None:
        if base in {left.base, left.commit} and is_wished(wish, left):
            logger.info("A retrain that was stopped has committed its result: delivering it")
            # Where it was killed while it went to its branch.
            repository.path("HEAD.lock").unlink(missing_ok=True)
            return _deliver(begin(wish, dvc, repository, tools, left.base), left)
        deliver.forget(repository)
    before = repository.content(base, settings.PARAMS) or b""
    check_tree(repository, before=before, values=wish.values)
    job = begin(wish, dvc, repository, tools, base)
    mend_lock_file(repository, base)
    with _values_written(job, before):
        return _look_and_train(job)


@contextmanager
def _values_written(job: Job, before: bytes) -> Iterator[None]:
    """The values in params.yaml; as it was before, should no commit come of it."""
    if not job.wish.values:
        yield
        return
    settings.write(job.root, before, job.wish.values)
    try:
        yield
    finally:
        if job.repository.commit_of("HEAD") == job.base:
            job.repository.put_back(job.base, [settings.PARAMS])


def _look_and_train(job: Job) -> Outcome:
    """Fetch, see whether there is something to do and nobody has done it, and do it."""
    _fetch(job)
    changed = job.dvc.status(MODEL)
    if not (changed or job.wish.force):
        return job.ends("nothing to do", "Neither data nor parameters nor code have changed.")
    shown = changes_in_short(changed, outputs(job.root, MODEL))
    logger.info("Changed since the last training: %s", shown or "nothing; --force was given")
    if job.wish.force:
        job = _with_free_branch(job)
    done = _done_before(job)
    if done is not None:
        return done
    refused = _validate(job)
    if refused is not None:
        return refused
    outcome, reasons = _train(job)
    check_tree(
        job.repository,
        before=job.repository.content(job.base, settings.PARAMS) or b"",
        values=job.wish.values,
        base=job.base,
    )
    _report(job, outcome, branch=job.branch)
    if job.pushes:
        _store(job)
    made = deliver.make(
        job.repository,
        branch=job.branch,
        base=job.base,
        outcome=outcome,
        reasons=reasons,
        source=job.source,
    )
    return _deliver(job, made)


def _fetch(job: Job) -> None:
    """Bring in the data, and the results of the last training so that none is made again."""
    verb = "pull" if job.stores else "checkout"
    tracked = raw_file(job.root, job.source)
    if tracked is not None:
        # Never by force: these are the lab's own files.
        done = job.dvc.run(verb, tracked)
        if done.status:
            where = raw_data(job.source)
            raise InputError(
                Problem(
                    where,
                    f"cannot be brought in ({done.in_short})",
                    remedy="Files that are changed here: `sgseg data add` or `dvc add` keeps them. "
                    "Files that nobody has pushed: `dvc push` where they are. Give the same "
                    "command again then.",
                )
            )
    made = outputs(job.root, MODEL, NUMBERS)
    more = ["--run-cache"] if job.stores else []
    if made and job.dvc.run(verb, "--force", *more, *made).status:
        logger.info("Not all earlier results are to be had; what is missing is made again")


def _there(job: Job, branch: str) -> Delivery | None:
    """The branch where others see it; None if there is none.

    Raises
    ------
    InputError
        A branch of this name is in the clone and holds something else.
    """
    commit = job.repository.commit_of(f"refs/heads/{branch}")
    local = None if commit is None else deliver.read(job.repository, commit)
    if job.pushes:
        if job.repository.at_remote(job.wish.remote, branch) is not None:
            return deliver.delivered(job.repository, job.wish.remote, branch)
        if local is None or local.base == job.base:
            return None  # made before, and pushed by this one
    if local is not None and local.base != job.base:
        remedy = "Delete it, or choose another name with --branch."
        what = "is in this clone and holds something else than this retrain"
        raise InputError(Problem(f"branch {branch}", what, remedy=remedy))
    return local


def _with_free_branch(job: Job) -> Job:
    """The job with a branch that is not there yet."""
    number, branch = 1, job.branch
    while _there(job, branch) is not None:
        number += 1
        branch = f"{job.branch}-{number}"
    return replace(job, branch=branch)


def _done_before(job: Job) -> Outcome | None:
    """Whether somebody has done this very retrain."""
    found = _there(job, job.branch)
    if found is None:
        return None
    reason = f"This retrain has been done: branch {job.branch} ({found.outcome})."
    return replace(
        job.ends("nothing to do", reason, *found.reasons),
        branch=job.branch,
        commit=found.commit,
        decision=found.decision,
    )


def _validate(job: Job) -> Outcome | None:
    """Check the data; None if they are fit to be trained on."""
    done = job.dvc.run("repro", *_again(job), "validate")
    if not done.status:
        return None
    if done.stage not in DATA_STAGES or done.stage_status != 2:
        raise _stopped(done.stage or "validate", done.in_short)
    _report(job, "refused by validation", branch="", problems=done.problems)
    _put_back(job, [LOCK_FILE])
    reason = f"The stage {done.stage} refuses the data of {raw_data(job.source)}."
    return job.ends("refused by validation", reason, problems=done.problems)


def _train(job: Job) -> tuple[What, tuple[str, ...]]:
    """The remaining stages; what the gate says."""
    job.tools.judge.restore(job.root)
    done = job.dvc.run("repro", *_again(job), MODEL, NUMBERS, env=PROPOSE)
    if done.status:
        raise _stopped(done.stage, done.in_short)
    decision = job.root / deliver.MADE_FROM[deliver.DECISION]
    before = decision.read_bytes() if decision.is_file() else b""
    # What DVC took from its cache nobody has told the registry; and the champion of then may not be
    # the one of now.
    verdict = job.tools.judge.judge(job.root)
    if decision.is_file() and decision.read_bytes() != before:
        done = job.dvc.run("commit", "--force", MODEL)
        if done.status:
            raise _stopped(MODEL, done.in_short)
    job.tools.judge.restore(job.root)
    return ("promote" if verdict.passed else "not promoted"), verdict.reasons


def _again(job: Job) -> list[str]:
    force = ["--force"] if job.wish.force else []
    return [*force, *(["--pull"] if job.stores and not job.wish.force else [])]


def _stopped(stage: str, said: str) -> InputError:
    return InputError(
        Problem(
            f"stage {stage}" if stage else "dvc repro",
            f"stopped ({said})",
            remedy="Mend that and give the same command again: what was finished is kept.",
        )
    )


def _report(job: Job, outcome: What, *, branch: str, problems: Sequence[str] = ()) -> None:
    job.tools.report(
        job.root,
        job.root / FOLDER,
        base=job.base,
        branch=branch,
        outcome=outcome,
        problems=problems,
    )


def _store(job: Job) -> None:
    """Data first: no branch points to what nobody can fetch."""
    done = job.dvc.run("push", "--run-cache", "--with-deps", MODEL, NUMBERS)
    if done.status:
        raise InputError(
            Problem(
                "dvc push",
                f"failed ({done.in_short})",
                remedy="Mend that and give the same command again: nothing is trained again.",
            )
        )


def _deliver(job: Job, made: Delivery) -> Outcome:
    """Push the branch and be on it; or give way to who was faster."""
    if job.pushes and not deliver.push(job.repository, job.wish.remote, made):
        names = deliver.written_files(job.root, job.source)
        _put_back(job, [*names, deliver.PAGE, deliver.DECISION, LOG])
        deliver.forget(job.repository)
        reason = f"Somebody else's retrain was faster: branch {job.branch}."
        return replace(job.ends("gave way", reason), branch=job.branch)
    deliver.settle(job.repository, made, job.wish.remote if job.pushes else None)
    return made.as_outcome()


def _put_back(job: Job, names: Sequence[str]) -> None:
    """Let files, and what DVC keeps for them, be as at the commit."""
    job.repository.put_back(job.base, sorted(set(names)))
    made = outputs(job.root, MODEL, NUMBERS)
    if made:
        job.dvc.run("checkout", "--force", "--quiet", *made)
