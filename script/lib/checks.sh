# shellcheck shell=bash
# The checks of script/test, one function each, and the loop that runs and counts them.
# Sourced after build-env.sh and tools.sh.

# For how long `check_sim` sweeps through seeds, and how many it runs twice.
SIM_SWEEP=3m
SIM_TWICE=10
# For how long `check_fuzz` runs all targets together.
FUZZ_SECONDS=60
# How many planted bugs it hunts, others every day, and in how many seeds each.
SIM_BUGS=5
SIM_BUG_SEEDS=300

check_lock() {
  cargo_here metadata --locked --format-version 1 >/dev/null
  cargo_sim metadata --locked --format-version 1 >/dev/null
  cargo_fuzzer metadata --locked --format-version 1 >/dev/null
}

check_fmt() {
  cargo_here fmt --all --check
  cargo_sim fmt --all --check
  cargo_fuzzer fmt --check
}

check_scripts() {
  if ! have shellcheck; then
    echo "shellcheck is not installed (apt-get install shellcheck): NOT CHECKED"
    return 0
  fi
  local scripts
  mapfile -t scripts < <(cd "$ROOT" && grep -rlIE --exclude-dir={target,.git} '^(#!/.*sh|# shellcheck shell=bash)$' .)
  (cd "$ROOT" && shellcheck --external-sources "${scripts[@]}")
}

check_deny() {
  use_cargo_deny
  deny_all licenses bans sources
  if fetch_advisories; then
    deny_all advisories
  else
    echo
    echo "***************************************************************************************"
    echo "  Known vulnerabilities were NOT CHECKED: the advisory database could not be fetched."
    echo "***************************************************************************************"
  fi
}

# Runs cargo-deny's checks $@ over all three workspaces, with one configuration.
deny_all() {
  local manifest
  for manifest in "$ROOT/Cargo.toml" "$ROOT/sim-tests/Cargo.toml" "$ROOT/fuzz/fuzzer/Cargo.toml"; do
    echo "$manifest: $*"
    cargo-deny --manifest-path "$manifest" --workspace --log-level error --config "$ROOT/deny.toml" check "$@"
  done
}

fetch_advisories() {
  (cd "$ROOT" && timeout 60 cargo-deny --log-level off --config "$ROOT/deny.toml" fetch db) >/dev/null 2>&1
}

check_clippy() {
  cargo_here clippy --workspace --all-targets -- -D warnings
  cargo_sim clippy --release --workspace --all-targets -- -D warnings
  cargo_fuzzer clippy --release -- -D warnings
}

# Private items are documented too, because these pages are for those who work on the crates; so links to them are fine.
check_docs() {
  export RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links"
  cargo_here doc --workspace --no-deps --document-private-items
}

check_tests() {
  if have cargo-nextest; then
    cargo_here nextest run --workspace --no-fail-fast
  else
    cargo_here test --workspace --all-targets --no-fail-fast
  fi
}

check_doctests() {
  cargo_here test --workspace --doc --no-fail-fast
}

# The tests build the program too; script/sim would build the crates below it again, without the features that only tests need.
check_sim() {
  cargo_sim test --release --no-fail-fast
  local sim
  sim=$(sim_program release)
  "$sim" sweep --count 5000 --budget "$SIM_SWEEP"
  "$sim" determinism --count "$SIM_TWICE"
  "$sim" mutants --of-the-day "$(date +%F)" --pick "$SIM_BUGS" --count "$SIM_BUG_SEEDS" --until-caught 1
}

check_fuzz() {
  "$ROOT/script/fuzz" all "$FUZZ_SECONDS"
}

# Runs the checks named by $@, each under a headline, then says what failed and how many tests passed.
# The last line of output is made for people and for whatever watches CI: "N passed, N failed".
run_checks() {
  local name status started failed=()
  output=$(mktemp)
  trap 'rm -f "$output"' EXIT

  for name in "$@"; do
    printf '\n==> %s\n' "$name"
    started=$SECONDS
    # A subshell outside any condition, so that errexit holds inside the check.
    set +e
    (
      set -e
      "check_$name"
    ) 2>&1 | tee -a "$output"
    status=${PIPESTATUS[0]}
    set -e
    if ((status == 0)); then
      printf '==> %s passed in %s\n' "$name" "$(minutes $((SECONDS - started)))"
    else
      printf '==> %s FAILED after %s\n' "$name" "$(minutes $((SECONDS - started)))"
      failed+=("$name")
    fi
  done

  printf '\n==> %s\n' "every check together took $(minutes "$SECONDS")"
  if ((${#failed[@]})); then
    printf 'tests: %s; checks that failed: %s\n' "$(count_tests "$output")" "${failed[*]}"
    return 1
  fi
  printf 'tests: %s; all %s checks passed\n' "$(count_tests "$output")" "$#"
}

# Adds up the summaries that cargo test and cargo nextest wrote into file $1.
count_tests() {
  sed 's/\x1b\[[0-9;]*m//g' "$1" | grep -E '^test result:|^ *Summary \[' |
    grep -oE '[0-9]+ (passed|failed|timed out|skipped|ignored)' |
    awk '$2 == "passed" { passed += $1 }
         $2 == "failed" || $2 == "timed" { failed += $1 }
         $2 == "skipped" || $2 == "ignored" { skipped += $1 }
         END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }'
}

minutes() {
  printf '%d min %02d s' $(($1 / 60)) $(($1 % 60))
}
