# shellcheck shell=bash
# All a script needs before it may call cargo. Sourced; brings the other files of this folder along.

LIB=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=script/lib/common.sh
source "$LIB/common.sh"
# shellcheck source=script/lib/deps.sh
source "$LIB/deps.sh"
# shellcheck source=script/lib/rocksdb.sh
source "$LIB/rocksdb.sh"

ensure_system_packages
use_cached_rocksdb
