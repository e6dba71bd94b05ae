"""A retrain from beginning to end; docs/retrain.md tells it step by step.

All of it happens in a private copy of a commit (`sgseg.retrain.tree`), so that the user may edit
and switch as they like. The order is what makes it safe to be killed: what is computed is kept by
DVC, and what is committed is found again by its branch.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sgseg.config import load_params
from sgseg.errors import InputError, Problem
from sgseg.registry.history import now
from sgseg.retrain import delivery as deliver
from sgseg.retrain import settings, tree
from sgseg.retrain.checks import check_name, check_place, check_tree, raw_data, raw_file
from sgseg.retrain.delivery import Delivery
from sgseg.retrain.dvc import changes_in_short, outputs
from sgseg.retrain.environment import of_retrain
from sgseg.retrain.job import Job, Tools, Wish, begin
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
        with (
            only_retrain(wish.root, since=started, wait=wish.wait),
            of_retrain(wish.root, tree.place(wish.root)),
        ):
            (wish.root / FOLDER / FILE).unlink(missing_ok=True)
            tree.wait_for_left_over(wish.root)
            found = replace(_retrain(wish, tools or Tools()), started=started, ended=now())
            write_outcome(wish.root / FOLDER, found)
            tree.remove(wish.root)
    except BusyError as error:
        reason = f"Another retrain runs in this clone: {error}."
        found = Outcome("gave way", reasons=(reason,), started=started, ended=now())
    tell_github(found, wish.root / FOLDER / SUMMARY)
    return found


def _retrain(wish: Wish, tools: Tools) -> Outcome:
    job = begin(wish, tools)
    check_tree(job.repository, job.dvc, job.source)
    here = job.repository.branches()
    there = job.repository.branches_at(wish.remote) if job.pushes else {}
    job, made = _made_before(job, here, there)
    if made is None:
        return _look_and_train(job.at(job.base), {*here, *there})
    if job.pushes and job.branch not in there:
        logger.info("Branch %s holds this retrain already: delivering it", job.branch)
        return _deliver(job.at(made.commit), made)
    reason = f"This retrain has been done: branch {job.branch} ({made.outcome})."
    return replace(
        job.ends("nothing to do", reason, *made.reasons),
        branch=job.branch,
        commit=made.commit,
        decision=made.decision,
    )


def _made_before(
    job: Job, here: Mapping[str, str], there: Mapping[str, str]
) -> tuple[Job, Delivery | None]:
    """What is on the job's branch already; by force, on the first that is free or not yet pushed.

    Raises
    ------
    InputError
        The branch holds something else.
    """
    number, branch = 1, job.branch
    while (commit := there.get(branch) or here.get(branch)) is not None:
        if branch in there:
            job.repository.fetch(job.wish.remote, branch)
        made = deliver.read(job.repository, commit)
        if made.inputs != job.inputs:
            remedy = "Delete it, or choose another name with --branch."
            what = "is there and holds something else than this retrain"
            raise InputError(Problem(f"branch {branch}", what, remedy=remedy))
        if not job.wish.force or (job.pushes and branch not in there):
            return replace(job, branch=branch), made
        number += 1
        branch = f"{job.branch}-{number}"
    return replace(job, branch=branch), None


def _look_and_train(job: Job, taken: set[str]) -> Outcome:
    """Fetch, see whether there is something to do, and do it."""
    if job.wish.values:
        before = (job.root / settings.PARAMS).read_bytes()
        settings.write(job.root, before, job.wish.values)
    _fetch(job)
    changed = job.dvc.status(MODEL)
    if not (changed or job.wish.force):
        return job.ends("nothing to do", "Neither data nor parameters nor code have changed.")
    shown = changes_in_short(changed, outputs(job.root, MODEL))
    logger.info("Changed since the last training: %s", shown or "nothing; --force was given")
    check_name(job.branch, taken)
    refused = _validate(job)
    if refused is not None:
        return refused
    outcome, reasons = _train(job)
    _report(job, outcome, branch=job.branch)
    made = deliver.make(
        job.repository,
        job.root,
        branch=job.branch,
        base=job.base,
        inputs=job.inputs,
        outcome=outcome,
        reasons=reasons,
        source=job.source,
    )
    return _deliver(job, made)


def _fetch(job: Job) -> None:
    """Bring in the data, and the results of the last training so that none is made again."""
    verb = "pull" if job.stores else "checkout"
    for target, keeping in _needed(job).items():
        # By force: in the copy there is at most what a killed call has half brought in.
        done = job.dvc.run(verb, "--force", target)
        if done.status:
            raise InputError(
                Problem(
                    target.removesuffix(".dvc"),
                    "cannot be brought in: its content is neither in DVC's cache nor in a remote "
                    f"({done.in_short})",
                    remedy=f"{keeping} and `dvc push` keep it. Give the same command again then.",
                )
            )
    made = outputs(job.root, MODEL, NUMBERS)
    more = ["--run-cache"] if job.stores else []
    if made and job.dvc.run(verb, "--force", *more, *made).status:
        logger.info("Not all earlier results are to be had; what is missing is made again")


def _needed(job: Job) -> dict[str, str]:
    """What no stage makes: the lab's images, and a network to start from; and how each is kept."""
    found = {}
    raw = raw_file(job.root, job.source)
    if raw is not None:
        found[raw] = f"`dvc add {raw_data(job.source)}` where the files are"
    start = load_params(job.root / settings.PARAMS).train.init
    if start is not None and not (job.root / start).is_file():
        found[str(start)] = "`dvc repro experiments/dvc.yaml:pretrain`"
    return found


def _validate(job: Job) -> Outcome | None:
    """Check the data; None if they are fit to be trained on."""
    done = job.dvc.run("repro", *_again(job), "validate")
    if not done.status:
        return None
    if done.stage not in DATA_STAGES or done.stage_status != 2:
        raise _stopped(done.stage or "validate", done.in_short)
    _report(job, "refused by validation", branch="", problems=done.problems)
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
    # The folder is a retrain's alone, and git ignores it.
    shutil.rmtree(job.project / FOLDER, ignore_errors=True)
    shutil.copytree(job.root / FOLDER, job.project / FOLDER)


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
    """Push data and branch; or give way to who was faster."""
    if job.pushes:
        _store(job)
        if not deliver.push(job.repository, job.wish.remote, made):
            job.repository.drop_branch(made.branch)
            reason = f"Somebody else's retrain was faster: branch {made.branch}."
            return replace(job.ends("gave way", reason), branch=made.branch)
    return made.as_outcome()
