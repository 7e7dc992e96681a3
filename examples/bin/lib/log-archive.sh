# Sourced by pack-logs and check-logs: which directory is meant, and where its archive and manifest are.
# shellcheck shell=sh

fail() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  exit 1
}

# Sets dir, archive and manifest from the command's arguments.
open_log_archive() {
  [ "$#" -eq 1 ] || fail "expected one argument, a directory without blanks, got $#"
  case $1 in
    /*) ;;
    *) fail "'$1' is not absolute: jobs have no working directory of their own to start from" ;;
  esac
  [ -d "$1" ] || fail "there is no directory '$1' on $(uname -n)"
  dir=$(cd "$1" && pwd -P)
  [ "$dir" != / ] || fail "the root directory has no place beside it for an archive"
  archive=$dir.logs.tar.gz
  # shellcheck disable=SC2034 # read by the scripts that source this
  manifest=$dir.logs.sha256
}

# Makes a folder for unfinished work and removes it however the script ends; SIGTERM is how a request is stopped.
# It lies beside the archive, so that moving a finished file out of it is a rename.
open_work_folder() {
  work=$(mktemp -d "$archive.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
}
