# shellcheck shell=bash
# What every script shares: where the checkout and the cache are, and how to speak to the person at the terminal.
# Sourced, never run.

# The checkout. Scripts keep the caller's working directory, so that paths in their arguments mean what they say.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# What is expensive to make and does not belong into the checkout, so that a fresh clone finds it.
# shellcheck disable=SC2034 # for those who source this
CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/capstan"

# rustup adds itself to login shells only.
command -v cargo >/dev/null 2>&1 || PATH=$PATH:$HOME/.cargo/bin

# Says what is being done. Standard error, because standard output belongs to the program a script ends up running.
say() {
  printf '==> %s\n' "$*" >&2
}

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

have() {
  command -v "$1" >/dev/null 2>&1
}

# Runs cargo in the checkout, where rust-toolchain.toml says which compiler; the caller's directory stays as it is.
cargo_here() (
  cd "$ROOT" && cargo "$@"
)

# Runs cargo in the simulator's workspace, whose .cargo/config.toml holds the compiler flags it needs: cargo reads that
# file only from the working directory upward, and ignores its flags when RUSTFLAGS is set. The simulator gets a target
# folder of its own, because other flags mean other artefacts.
cargo_sim() {
  local target=${CARGO_TARGET_DIR:+$(target_dir)/sim-tests}
  (cd "$ROOT/sim-tests" && env --unset=RUSTFLAGS ${target:+CARGO_TARGET_DIR="$target"} cargo "$@")
}

# Runs cargo in the fuzzer's workspace, whose .cargo/config.toml holds the flags that count coverage; as `cargo_sim` does. A
# target is named so that these flags stay away from build scripts and macros.
cargo_fuzzer() {
  local target=${CARGO_TARGET_DIR:+$(target_dir)/fuzzer} host
  host=$(cd "$ROOT" && rustc -vV | sed -n 's/^host: //p')
  (cd "$ROOT/fuzz/fuzzer" &&
    env --unset=RUSTFLAGS CARGO_BUILD_TARGET="$host" ${target:+CARGO_TARGET_DIR="$target"} cargo "$@")
}

# Prints the path of the simulator as profile $1 builds it.
sim_program() {
  local folder=$1
  [[ $folder == dev ]] && folder=debug
  printf '%s/%s/sim\n' "$(cargo_sim metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')" "$folder"
}

# Prints the folder cargo builds into, whatever the environment or a configuration file made of it.
target_dir() {
  cargo_here metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
}
