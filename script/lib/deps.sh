# shellcheck shell=bash
# The system packages a build needs on a bare Debian or Ubuntu machine that has Rust. Sourced after common.sh.
#
# g++           compiles RocksDB, lz4 and zstd, and links everything.
# libclang-dev  lets bindgen read RocksDB's C header (libclang1 alone lacks the compiler's own headers).
#
# No linker is installed: the pinned toolchain brings lld along and uses it (docs/adr/0002-build-and-cache.md).

# Installs what is missing, after saying so. Does nothing, and needs no rights, when all is there.
ensure_system_packages() {
  have cargo || die "cargo was not found: install Rust from https://rustup.rs, then run this again"

  local missing=()
  have c++ && have cc || missing+=(g++)
  libclang_is_complete || missing+=(libclang-dev)
  ((${#missing[@]})) || return 0

  have apt-get || die "these are needed, and this machine has no apt-get to install them with: ${missing[*]}
  (the names are Debian's: a C++20 compiler, and libclang with its headers for bindgen)"

  local as_root=()
  if ((EUID != 0)); then
    have sudo || die "these packages are needed, and neither root nor sudo is at hand: ${missing[*]}
  as root, run: apt-get update && apt-get install --no-install-recommends ${missing[*]}"
    as_root=(sudo)
  fi

  say "installing Debian packages needed to build RocksDB and its bindings: ${missing[*]}"
  "${as_root[@]}" apt-get update -qq >&2 || say "apt-get update failed; trying with the package lists at hand"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 ||
    die "could not install ${missing[*]}; install them by hand, then run this again"
}

# True if bindgen will find both the library and the headers that belong to it.
libclang_is_complete() {
  [[ -n ${LIBCLANG_PATH:-} ]] && return 0
  any_file /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/*/libclang*.so* /usr/lib64/libclang*.so* &&
    any_file /usr/lib/llvm-*/lib/clang/*/include/stddef.h /usr/lib/clang/*/include/stddef.h
}

# True if one of the arguments exists; patterns that match nothing arrive here as themselves.
any_file() {
  local path
  for path in "$@"; do
    [[ -e $path ]] && return 0
  done
  return 1
}
