#!/usr/bin/env bash
# One batch evaluation in eight shards as a Slurm job array:
#
#   sbatch docs/batch/slurm.sh
#
# Each task reads the whole input and answers the rows whose index modulo 8 is
# its own. Run it again after a failure: finished shards end at once, others go on
# where they stopped. --array=3,5 alone would split the rows otherwise; to repeat
# single shards give them by hand, as in --shard 3/8.
#SBATCH --job-name=stepbench-batch
#SBATCH --array=0-7
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-task=1
#SBATCH --mem=64G
#SBATCH --time=24:00:00
#SBATCH --requeue
# SIGTERM five minutes before the end: time to write what is finished.
#SBATCH --signal=TERM@300
#SBATCH --output=stepbench-batch-%A_%a.log
set -euo pipefail

: "${STEPBENCH:=out/stepbench}"
: "${MODEL:=models/smollm2-135m-instruct}"
: "${INPUT:=prompts.jsonl}"
: "${OUTPUT:=results/batch}" # on storage that all tasks and the merge see

mkdir -p "$OUTPUT"
exec srun "$STEPBENCH" batch --model "$MODEL" --shard auto \
  "$INPUT" "$OUTPUT/shard-$SLURM_ARRAY_TASK_ID"
