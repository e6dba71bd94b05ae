"""How the commands of each page are run: what they need, what is put in place of what, exceptions.

A page without a plan has no commands. A block without a rule is run as it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .markdown import Block
from .shell import commands


@dataclass(frozen=True)
class Rule:
    """What one block of a page needs.

    Parameters
    ----------
    has
        Text by which the block is known.
    skip
        Why it is not run.
    before
        Shell commands in the project, for what the reader has by then.
    replace
        What cannot be true in a test, and what is put in its place.
    leave_out
        Beginnings of commands that are not run, and why.
    statuses
        The exit statuses that the page states.
    typed
        What the reader types when asked.
    after
        Shell commands that succeed where the block did what the page says.
    """

    has: str
    skip: str = ""
    before: str = ""
    replace: Mapping[str, str] = field(default_factory=dict)
    leave_out: Mapping[str, str] = field(default_factory=dict)
    statuses: Sequence[int] = (0,)
    typed: str = ""
    after: str = ""


@dataclass(frozen=True)
class Plan:
    """What the blocks of one page need, in the order of the page.

    Parameters
    ----------
    before
        Shell commands in the project before the first block.
    rules
        For single blocks.
    also
        Commands of the page's sentences and tables that are run as well, after the blocks.
    """

    before: str = ""
    rules: Sequence[Rule] = ()
    also: Sequence[str] = ()

    def rule(self, block: Block) -> Rule:
        """The first rule whose text the block holds; one that asks for nothing, else."""
        return next((rule for rule in self.rules if rule.has in block.text), Rule(""))


def is_run(block: Block) -> bool:
    """Whether a block holds what a reader runs."""
    return block.language in {"sh", "python"}


def unplanned(block: Block, plans: Mapping[str, Plan]) -> bool:
    """Whether a block is neither run nor excepted."""
    return is_run(block) and block.page not in plans


def unused(pages: Iterable[str], blocks: Iterable[Block], plans: Mapping[str, Plan]) -> list[str]:
    """What the plans speak of and the pages do not hold (any more)."""
    known = [block for block in blocks if is_run(block)]
    found = [f"{page}: no such page" for page in plans if page not in set(pages)]
    for page, plan in plans.items():
        for rule in plan.rules:
            own = [b for b in known if b.page == page and plan.rule(b) is rule]
            text = "".join(block.text for block in own)
            starts = [b.text[c.start :] for b in own for c in commands(b.text)]
            if not own:
                found.append(f"{page}: no block has: {rule.has}")
            found += [f"{page}: {old}" for old in rule.replace if own and old not in text]
            found += [
                f"{page}: {start}"
                for start in rule.leave_out
                if own and not any(text.startswith(start) for text in starts)
            ]
    return found


ITSELF = "`make test` is what runs these tests"
ROOT_ONLY = "changes a server's users and services: needs root on a machine of one's own"
NO_CLOUD = "needs a package from the network and an account of one's own"

FIRST_BUNDLE = "$(grep -o 'to_bundle.: .[0-9a-f]*' registry/history.jsonl | head -1 | tail -c 33)"
FIRST_COMMIT = (
    f"git log --reverse --format=%h -S {FIRST_BUNDLE} -- registry/history.jsonl | head -1"
)

QUEUE_DONE = (
    "for _ in $(seq 300); do dvc queue status > queue.txt && ! grep -qE 'Queued|Running' queue.txt"
    " && break; sleep 2; done; cat queue.txt"
)

PLANS: dict[str, Plan] = {
    "CONTRIBUTING.md": Plan(
        rules=(
            Rule(
                "git clone",
                replace={"https://github.com/OWNER": "$HOME"},
                leave_out={"make test": ITSELF},
            ),
            Rule("make lock", skip="solves all packages anew, from the network"),
        ),
    ),
    "README.md": Plan(
        rules=(
            Rule("make run", leave_out={"make test": ITSELF}),
            Rule("sgseg quantify", before="cp data/raw/simulated/samples.csv ."),
            Rule(
                "make retrain",
                before="dvc remote add --local --default share ~/share && dvc push -q",
            ),
        ),
    ),
    "docs/ci.md": Plan(),
    "docs/compare.md": Plan(
        rules=(
            Rule("dvc exp run", replace={"unet,res_unet,attention_unet": "unet,res_unet"}),
            Rule("dvc exp show", before=QUEUE_DONE),
            Rule("dvc exp apply", replace={"NAME": "$(dvc exp list --name-only | tail -1)"}),
            Rule("dvc queue remove", after="dvc queue stop --kill || true; sleep 5"),
        ),
    ),
    "docs/cluster.md": Plan(
        before="mkdir images && cp ../gray/*_rep1_* images",
        rules=(
            Rule("--workers 4", replace={"--workers 4": "--workers 2"}),
            Rule("dask scheduler", skip="two machines; `tests/cluster` starts both by hand"),
            Rule("SLURMCluster", skip="needs a SLURM cluster"),
            Rule("--storage postgresql", skip="needs a cluster and a database"),
            Rule(
                "plate.ome.zarr",
                before="PYTHONPATH=tests:$PYTHONPATH python -c 'from pathlib import Path\n"
                "from images.plates import stack, write_plate\n"
                'write_plate(Path("plate.ome.zarr"), {"A/1": [stack()]})\'',
            ),
        ),
    ),
    "docs/faults.md": Plan(
        rules=(
            Rule("make fuzz", replace={"make fuzz": "make fuzz N=200"}),
            Rule("make chaos", replace={"make chaos": "make chaos N=7"}),
        )
    ),
    "docs/experiments.md": Plan(also=("make pretrain",)),
    "docs/import.md": Plan(
        rules=(
            Rule(
                "sgseg data add",
                before="dvc remote add --local --default share ~/share\n"
                "git add . && git commit -qm 'Images'",
            ),
            Rule("/mnt/lab", replace={"/mnt/lab": "$HOME/lab_share"}),
            Rule("dvc-s3", skip=NO_CLOUD),
            Rule("dvc-ssh", skip=NO_CLOUD),
            Rule("dvc-gs", skip=NO_CLOUD),
        ),
    ),
    "docs/operating.md": Plan(
        rules=(
            Rule("git init --bare", replace={"/mnt/lab": "$HOME"}),
            Rule("dvc remote add", replace={"/mnt/lab": "$HOME/share"}),
            Rule(
                "data/raw/my_experiment.dvc",
                before="import='sgseg import ../my_experiment --images images --masks masks'\n"
                "$import --name my_experiment --use\n"
                "git add . && git commit -qm 'Images'\n"
                "$import --name my_experiment --pixel-size-um 0.1 --replace\n"
                "git add . && git commit -qm 'Wrong images'",
            ),
        ),
        also=(
            "sgseg registry list",
            "sgseg registry history --alias champion",
            "dvc status dvc.yaml",
        ),
    ),
    "docs/performance.md": Plan(
        rules=(
            Rule(
                "make bench",
                skip="half an hour; its benchmarks run, small, in tests/test_benchmarks.py",
            ),
        ),
    ),
    "docs/quantify.md": Plan(
        before="cp -r data/raw/simulated/images images\ncp data/raw/simulated/samples.csv ."
    ),
    "docs/registry.md": Plan(
        rules=(
            Rule(
                "--version 2 --reason",
                before="sgseg registry promote --version 1 --reason before",
            ),
            Rule(
                "dvc pull",
                before="dvc remote add --local --default lab ~/share && dvc push -q\n"
                "git commit -qam 'The log' && rm mlflow.db",
                replace={"DIGEST": FIRST_BUNDLE, "COMMIT ": f"$({FIRST_COMMIT}) "},
                after="sgseg registry list --json > list.json\n"
                "python -c 'import json; assert len(json.load(open(\"list.json\"))) == 2'",
            ),
        ),
    ),
    "docs/results.md": Plan(
        before="python benchmarks/simulated_recall.py\n"
        "python benchmarks/simulated_fields.py --fields 6 --epochs 1 --tried 2 --empty 2",
        rules=(
            Rule(
                "SGSEG_REAL_DATA",
                before="mkdir -p ~/real/sg_cells\n"
                "cp -r ~/my_experiment/images ~/real/sg_cells/unlabel\n"
                "cp -r ~/my_experiment/masks ~/real/sg_cells/label",
                replace={"$SGSEG_REAL_DATA": "$HOME/real"},
            ),
        ),
        also=("python benchmarks/quantify_accuracy.py --model models/evaluated --fields 1",),
    ),
    "docs/retrain.md": Plan(
        before="dvc remote add --local --default share ~/share && dvc push -q",
        rules=(
            Rule(
                "train.epochs=80",
                replace={"train.epochs=80": "train.epochs=3"},
                statuses=(0, 11),  # better or not: both are said, and neither is an error
            ),
        ),
    ),
    "docs/server.md": Plan(
        before="mlflow server --backend-store-uri sqlite:///$HOME/server.db "
        "--artifacts-destination $HOME/artifacts --port 5000",
        rules=(
            Rule("apt-get", skip=ROOT_ONLY),
            Rule("useradd", skip=ROOT_ONLY),
            Rule("chown", skip=ROOT_ONLY),
            Rule("systemctl", leave_out={"sudo systemctl": ROOT_ONLY}),
            Rule(
                "MLFLOW_TRACKING_TOKEN",
                replace={"https://mlflow.example.org": "http://127.0.0.1:5000", "...": "token"},
            ),
            Rule("pg_dump", skip="needs PostgreSQL and a bucket"),
            Rule("pg_restore", skip="needs PostgreSQL"),
            Rule("db upgrade", skip=ROOT_ONLY),
        ),
    ),
    "docs/serving.md": Plan(
        before="mkdir images && cp ../gray/* images && cp images/control_rep1_f01.tif a.tif\n"
        "cp images/arsenite_high_rep1_f01.tif b.tif",
        rules=(
            Rule("dataframe_split", after="grep -q n_granules answer.json && test -s mask.png"),
            Rule("parquet", after="grep -q n_granules answer.json"),
        ),
    ),
    "docs/tracking.md": Plan(),
    "docs/tuning.md": Plan(
        rules=(
            Rule("optuna-dashboard", replace={"1a735ec43f8e": "*"}),
            Rule("--trials 100", replace={"--trials 100": "--trials 3"}),
            Rule(
                "postgresql",
                replace={"pip install": "pip install --dry-run"},
                leave_out={"sgseg tune --workers 2 --storage": "needs a database"},
            ),
        ),
    ),
}
