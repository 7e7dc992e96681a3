# shellcheck shell=bash
# Building and running the fuzzer. Sourced after build-env.sh.

# An input that takes longer, or more memory, is a failure.
FUZZ_INPUT_SECONDS=10
FUZZ_INPUT_MIB=2048
# How many inputs that earlier runs have found a run starts with, drawn at random: it begins by trying all it is given, however
# long that takes.
FUZZ_SAMPLE=200
# How many are kept of one target.
FUZZ_FINDS_MAX=5000

# Builds the fuzzer and sets where it is (FUZZER), where its finds are (FINDS), and what it can run (FUZZ_TARGETS).
build_fuzzer() {
  say "building the fuzzer"
  FUZZER=$(cargo_fuzzer build --quiet --release --message-format json-render-diagnostics |
    sed -n 's/.*"executable":"\([^"]*\/capstan-fuzzer\)".*/\1/p')
  [[ -x $FUZZER ]] || die "the fuzzer did not build"
  FINDS=$(dirname "$FUZZER")/finds
  mapfile -t FUZZ_TARGETS < <(cd "$ROOT/fuzz/corpus" && printf '%s\n' *)
}

# Prints the targets that word $1 names.
targets_of() {
  if [[ $1 == all ]]; then
    printf '%s\n' "${FUZZ_TARGETS[@]}"
  elif [[ -d $ROOT/fuzz/corpus/$1 ]]; then
    printf '%s\n' "$1"
  else
    die "there is no target called $1; the targets are: ${FUZZ_TARGETS[*]}"
  fi
}

# Runs libFuzzer on target $1 with its arguments after that.
fuzzer() {
  CAPSTAN_FUZZ_TARGET=$1 "$FUZZER" -timeout="$FUZZ_INPUT_SECONDS" -rss_limit_mb="$FUZZ_INPUT_MIB" "${@:2}"
}

# Runs the targets that word $1 names for $2 seconds together. Fails if one was broken, after trying all.
fuzz() {
  local names name broken=0
  build_fuzzer
  names=$(targets_of "$1")
  local seconds=$(($2 / $(wc -w <<<"$names")))
  ((seconds > 0)) || die "$2 seconds are too few: each target needs one at least"
  printf '%-16s %12s %9s %6s  %s\n' target executions exec/s new outcome
  for name in $names; do
    fuzz_one "$name" "$seconds" || broken=1
  done
  return "$broken"
}

# Runs target $1 for $2 seconds and prints a line about it; after a failure also what it said.
fuzz_one() {
  local name=$1 found=$FINDS/found/$1 fresh=$FINDS/fresh/$1 broken=$FINDS/broken/$1 log=$FINDS/$1.log outcome=ok
  rm -rf "$fresh"
  mkdir -p "$found" "$fresh" "$broken"
  local dictionary=$ROOT/fuzz/dictionaries/$name.dict sample options=()
  [[ ! -f $dictionary ]] || options+=(-dict="$dictionary")
  sample=$(find "$found" -type f | shuf -n "$FUZZ_SAMPLE" | paste -sd,)
  [[ -z $sample ]] || options+=(-seed_inputs="$sample")
  fuzzer "$name" -max_total_time="$2" -print_final_stats=1 -artifact_prefix="$broken/" "${options[@]}" \
    "$fresh" "$ROOT/fuzz/corpus/$name" >"$log" 2>&1 || outcome=FAILED
  keep_finds "$fresh" "$found"
  printf '%-16s %12s %9s %6s  %s\n' "$name" "$(stat_of number_of_executed_units "$log")" \
    "$(stat_of average_exec_per_sec "$log")" "$(stat_of new_units_added "$log")" "$outcome"
  [[ $outcome == ok ]] || tell_of_failure "$name" "$log"
}

# Moves what a run has found from folder $1 to folder $2, and drops what is too many there, at random.
keep_finds() {
  find "$1" -type f -exec mv -t "$2" {} +
  find "$2" -type f | shuf | tail -n +$((FUZZ_FINDS_MAX + 1)) | xargs -r rm
}

# Prints statistic $1 of log $2; a dash if the run did not live to tell it.
stat_of() {
  local value
  value=$(sed -n "s/^stat::$1: *//p" "$2")
  printf '%s' "${value:--}"
}

tell_of_failure() {
  local input
  input=$(sed -n 's/.*Test unit written to //p' "$2" | tail -1)
  grep -vE '^(#|INFO:|WARNING:|stat::|[[:space:]]*NEW_FUNC|[[:space:]]*$)' "$2" | head -40 | sed 's/^/    /'
  if [[ -n $input ]]; then
    printf '  once more: script/fuzz replay %s %s\n' "$1" "$input"
  else
    printf '  no input was written; the whole output is in %s\n' "$2"
  fi
  return 1
}

# Feeds target $1 the inputs after that.
replay() {
  build_fuzzer
  targets_of "$1" >/dev/null
  RUST_BACKTRACE=1 fuzzer "$@"
}

# Adds to the corpus of the targets that word $1 names what earlier runs have found and reaches further.
merge() {
  local name
  build_fuzzer
  for name in $(targets_of "$1"); do
    mkdir -p "$FINDS/found/$name"
    say "$name"
    fuzzer "$name" -set_cover_merge=1 -use_counters=0 "$ROOT/fuzz/corpus/$name" "$FINDS/found/$name" 2>&1 | grep '^MERGE-OUTER:.* new files' >&2 ||
      die "libFuzzer could not merge what it has found of $name"
  done
}
