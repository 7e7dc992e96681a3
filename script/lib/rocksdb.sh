# shellcheck shell=bash
# RocksDB, built once per version and kept outside the checkout. Sourced after common.sh.
#
# RocksDB is 343 C++ files and some twenty CPU-minutes; everything of ours together is a fraction of that. So its static
# library is built once and found by every later build: in another profile, another clone, on the CI machine.
# librocksdb-sys links such a library instead of building its own when ROCKSDB_STATIC and ROCKSDB_LIB_DIR are set.
# lz4 and zstd come from crates of their own (lz4-sys, zstd-sys), build in seconds, and are not kept here.
# Without these variables plain `cargo build` works too, and takes those minutes for each target folder and profile.

# Exports ROCKSDB_STATIC and ROCKSDB_LIB_DIR, after building the library if the cache lacks it. A ROCKSDB_LIB_DIR that
# is set already wins.
use_cached_rocksdb() {
  if [[ -z ${ROCKSDB_LIB_DIR:-} ]]; then
    local folder
    folder=$CACHE/rocksdb/$(rocksdb_key)
    if [[ ! -f $folder/librocksdb.a ]]; then
      build_rocksdb "$folder"
    fi
    ROCKSDB_LIB_DIR=$folder
  fi
  export ROCKSDB_STATIC=1 ROCKSDB_LIB_DIR
}

# Names all that the library's contents depend on: version, compression features, target, compiler.
rocksdb_key() {
  local version features target compiler
  version=$(sed -n '/^name = "librocksdb-sys"$/{n;s/^version = "\(.*\)"$/\1/p}' "$ROOT/Cargo.lock")
  features=$(rocksdb_dependency | grep -oE '"(lz4|zstd|snappy|zlib|bzip2)"' | tr -d '"' | paste -sd-)
  target=$(cd "$ROOT" && rustc -vV | sed -n 's/^host: //p')
  compiler=$(compiler_name)
  [[ -n $version && -n $features && -n $target ]] || die "cannot tell which RocksDB Cargo.lock and Cargo.toml ask for"
  printf '%s-%s-%s-%s\n' "$version" "$features" "$target" "$compiler"
}

rocksdb_dependency() {
  grep '^rocksdb = ' "$ROOT/Cargo.toml"
}

compiler_name() {
  local cxx=${CXX:-c++} family=gcc major
  "$cxx" --version | grep -qi clang && family=clang
  major=$("$cxx" -dumpversion | cut -d. -f1)
  printf '%s%s\n' "$family" "$major"
}

# Builds the library into folder $1. One build at a time; a second one waits for the first and then uses its result.
# The library arrives by rename, so an interrupted build leaves nothing that looks finished.
build_rocksdb() (
  local folder=$1
  mkdir -p "$CACHE/rocksdb"
  exec 9>"$CACHE/rocksdb/lock"
  if ! flock --nonblock 9; then
    say "waiting for another build of RocksDB on this machine"
    flock 9
  fi
  [[ -f $folder/librocksdb.a ]] && return 0

  say "building RocksDB: 8 to 14 minutes on two cores, once; later builds find it in $folder"
  rm -rf "$CACHE"/rocksdb/build.* # left by builds that were killed; the lock says none is running
  local scratch
  scratch=$(mktemp -d "$CACHE/rocksdb/build.XXXXXX")
  # shellcheck disable=SC2064 # the folder of this build, not of the moment the trap fires
  trap "rm -rf '$scratch'" EXIT
  write_rocksdb_crate "$scratch"

  # Nothing of the caller's environment may decide what later builds will find.
  local started=$SECONDS
  cd "$scratch" || exit
  unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET ROCKSDB_STATIC
  CARGO_TARGET_DIR=$scratch/target cargo build --release --quiet >&2 ||
    die "RocksDB did not build; the message above says why"

  local built=("$scratch"/target/release/build/librocksdb-sys-*/out/librocksdb.a)
  [[ -f ${built[0]} ]] || die "RocksDB was built, but no librocksdb.a came out of it: has librocksdb-sys changed?"
  mkdir -p "$folder"
  mv "${built[0]}" "$folder/librocksdb.a.new"
  mv "$folder/librocksdb.a.new" "$folder/librocksdb.a"
  say "RocksDB built in $(((SECONDS - started) / 60)) minutes"
)

# Writes an empty crate into folder $1 that depends on RocksDB as this workspace does, with the versions of its lock file.
write_rocksdb_crate() {
  mkdir -p "$1/src"
  : >"$1/src/lib.rs"
  cp "$ROOT/Cargo.lock" "$ROOT/rust-toolchain.toml" "$1/"
  {
    printf '[package]\nname = "rocksdb-cache"\nversion = "0.0.0"\nedition = "2024"\n\n[dependencies]\n'
    rocksdb_dependency
    printf '\n[profile.release.package.librocksdb-sys]\nopt-level = 2\ndebug = false\n\n[workspace]\n'
  } >"$1/Cargo.toml"
}
