"""Search for a recipe as params.yaml says; train reads what is found from reports/tuning."""

from sgseg.errors import exit_with_message
from sgseg.tuning.stage import tune

if __name__ == "__main__":
    exit_with_message(tune)
