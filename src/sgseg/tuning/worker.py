"""A worker: takes trials of a study one after the other until all are done.

Any number of workers, on any number of machines, may work on a study. A worker only keeps the
books; the trial itself runs in a process of its own, which frees its memory for certain and may die
without harm.
"""

from __future__ import annotations

import json
import logging
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from sgseg.config import with_values
from sgseg.errors import InputError, Problem, exit_with_message
from sgseg.processes import Lifeline, environment
from sgseg.tracking.process import running_process
from sgseg.tuning import ledger
from sgseg.tuning.job import Job
from sgseg.tuning.liveness import HEARTBEAT, HEARTBEAT_SECONDS, PROCESS, Watch
from sgseg.tuning.process import Stopped, run_trial
from sgseg.tuning.record import STARTED, now_ms, outcome, tracked
from sgseg.tuning.space import Values, shown, suggest
from sgseg.tuning.storage import failures_named
from sgseg.tuning.study import all_slots, finish, open_study, repeat_lost, write_attributes
from sgseg.tuning.trial import Result

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
FAILURES = 3
"""So many, and no other outcome: it is not the recipes."""

OnTrial = Callable[[ledger.Slot], None]


class Worker:
    """Works on a study.

    Parameters
    ----------
    job
        The search.
    study
        What `open_study` gave for it.
    workers
        How many work on this machine, to share its cores.
    on_trial
        Called with each trial that this worker has ended.
    stop
        Set from outside to end the worker; its trial is given back.
    """

    def __init__(
        self,
        job: Job,
        study: optuna.Study,
        *,
        workers: int = 1,
        on_trial: OnTrial | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._job, self._study = job, study
        self._environment = environment(workers)
        self._on_trial = on_trial or (lambda slot: None)
        self._stop = stop or threading.Event()
        self._watch = Watch()
        self._failures = 0
        self._beaten = 0.0

    def run(self) -> None:
        """Work until as many trials as the search asks for are done, by whomever, or to be stopped.

        Raises
        ------
        InputError
            Trials cannot be run here, whatever their recipe.
        """
        budget = self._job.trials
        while not self._stop.is_set():
            self._take_from_the_dead()
            repeat_lost(self._study, self._job.space, budget)
            slots = all_slots(self._study)
            if ledger.is_finished(slots, budget):
                return
            if ledger.has_work(slots, budget):
                self._next_trial()
            else:
                # Others are at the last trials. Should one of them die, its trial is done here.
                self._stop.wait(POLL_SECONDS)

    def _take_from_the_dead(self) -> None:
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for number in [trial.number for trial in running if self._watch.is_abandoned(trial)]:
            if finish(self._study, number, TrialState.FAIL, {ledger.LOST: "died"}):
                log.warning("trial %d: its worker died; it will be repeated", number)

    def _next_trial(self) -> None:
        trial = self._study.ask()
        try:
            trial.set_user_attr(PROCESS, running_process())
            trial.set_user_attr(STARTED, now_ms())
            slots = all_slots(self._study)[: self._job.trials]
            mine = [slot for slot in slots if slot.trial.number == trial.number]
            if mine:
                self._carry_out(trial, mine[0])
            else:
                # Another worker asked for the last trial at the same moment.
                finish(self._study, trial.number, TrialState.FAIL, {ledger.SURPLUS: True})
        except UpdateFinishedTrialError:
            log.warning("trial %d: another worker has taken it over", trial.number)
        except BaseException as error:
            finish(self._study, trial.number, TrialState.FAIL, {ledger.LOST: "stopped"})
            if not isinstance(error, Stopped):
                raise

    def _carry_out(self, trial: optuna.Trial, slot: ledger.Slot) -> None:
        values = suggest(trial, self._job.space)
        log.info("trial %d: %s", trial.number, _listed(values))
        folder = self._job.trial_folder(slot.root)
        try:
            params = with_values(self._job.params, values)
        except InputError as error:
            result = Result("FAIL", error=str(error))
        else:
            result = run_trial(
                replace(self._job, params=params),
                folder,
                decide=lambda step, value: self._goes_on(trial, step, value),
                tick=lambda: self._tick(trial.number),
                environment=self._environment,
            )
        if result.state == "REFUSED":
            remedy = "Mend it and give the same command again; what was finished is kept."
            raise InputError(Problem(f"trial {trial.number}", result.error, remedy=remedy))
        self._tell(trial.number, slot, result)
        # Gone on with no more; all of a search's would be gigabytes.
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)

    def _goes_on(self, trial: optuna.Trial, step: int, value: float) -> bool:
        fold = self._job.folds[step]
        log.info("trial %d: object F1 %.3f with fold %d", trial.number, value, fold)
        if len(self._study.directions) > 1:
            return True
        trial.report(value, step)
        return step + 1 == len(self._job.folds) or not trial.should_prune()

    def _tick(self, number: int) -> None:
        if self._stop.is_set():
            raise Stopped
        if time.monotonic() - self._beaten > HEARTBEAT_SECONDS:
            self._beaten = time.monotonic()
            write_attributes(self._study, number, {HEARTBEAT: now_ms()})

    def _tell(self, number: int, slot: ledger.Slot, result: Result) -> None:
        known = (result.value, result.cost)[: len(self._study.directions)]
        values = [value for value in known if value is not None]
        told = finish(
            self._study,
            number,
            TrialState[result.state],
            outcome(self._job, self._study, slot.root, result),
            values if result.state == "COMPLETE" else None,
        )
        if not told:
            raise UpdateFinishedTrialError
        log.info("trial %d: %s", number, _verdict(result))
        self._on_trial(next(item for item in all_slots(self._study) if item.root == slot.root))
        self._failures += result.state == "FAIL"
        if self._failures >= FAILURES and not any(
            slot.trial.state in {TrialState.COMPLETE, TrialState.PRUNED}
            for slot in all_slots(self._study)
        ):
            raise InputError(
                Problem(
                    f"{FAILURES} trials, and none that did not fail",
                    result.error,
                    remedy=f"Mend it, and remove {self._job.folder} to begin anew.",
                )
            )


def _listed(values: Values) -> str:
    return ", ".join(f"{key} {shown(value)}" for key, value in values.items())


def _verdict(result: Result) -> str:
    if result.state == "FAIL":
        return f"failed: {result.error}"
    if result.state == "PRUNED":
        return f"given up at object F1 {result.value:.3f}"
    cost = "" if result.cost is None else f", cost {result.cost:.4g}"
    return f"object F1 {result.value:.3f}{cost}"


def main() -> None:
    """Work as the first line of standard input says, until its end (`search.run_workers`)."""
    # Ctrl-C reaches every process of a terminal; the one that started this acts on it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop = threading.Event()
    parent = Lifeline(on_end=stop.set)
    content = json.loads(parent.next_line())
    job = Job.from_json(json.dumps(content["job"]))
    with failures_named(content["storage"]):
        study = open_study(job, content["storage"])
        Worker(job, study, workers=content["workers"], on_trial=tracked(job), stop=stop).run()


if __name__ == "__main__":
    exit_with_message(main)
