# Usage: sh stay.sh DONE
#
# Stays until the file DONE is there.
until [ -e "$1" ]; do sleep 0.2; done
