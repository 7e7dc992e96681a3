# shellcheck shell=bash
# Programs of the Rust world that checks need, compiled into the cache. Sourced after common.sh.

CARGO_DENY_VERSION=0.20.2

# Puts cargo-deny on PATH, compiling it first if neither PATH nor the cache has this version.
use_cargo_deny() {
  local folder=$CACHE/tools/cargo-deny-$CARGO_DENY_VERSION
  if [[ "$(cargo-deny --version 2>/dev/null)" == "cargo-deny $CARGO_DENY_VERSION" ]]; then
    return 0
  fi
  if [[ ! -x $folder/bin/cargo-deny ]]; then
    say "compiling cargo-deny $CARGO_DENY_VERSION: a minute or two on two cores, once"
    install_tool "$folder" cargo-deny "$CARGO_DENY_VERSION"
  fi
  PATH=$folder/bin:$PATH
}

# Installs version $3 of crate $2 into folder $1, by rename. Optimised for being compiled, not for running: it checks a
# dependency graph in a second either way.
install_tool() (
  local folder=$1 crate=$2 version=$3 scratch
  mkdir -p "$CACHE/tools"
  scratch=$(mktemp -d "$CACHE/tools/build.XXXXXX")
  # shellcheck disable=SC2064 # the folder of this build, not of the moment the trap fires
  trap "rm -rf '$scratch'" EXIT
  cd "$scratch" || exit
  unset RUSTFLAGS CARGO_TARGET_DIR
  export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
  export CARGO_PROFILE_RELEASE_DEBUG=false CARGO_PROFILE_RELEASE_STRIP=symbols
  cargo install --quiet --locked --no-default-features "$crate@$version" --root "$scratch/root" \
    --target-dir "$scratch/target" >&2 || die "could not install $crate $version"
  rm -rf "$folder"
  mv "$scratch/root" "$folder"
)
