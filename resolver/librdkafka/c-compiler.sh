#!/usr/bin/env bash
# Compiles the C code of others, as package.sh has cargo do: with C_COMPILER, so that nothing in what comes of it says where it
# was compiled. C_PLACES has the folders, a line each, and what stands for them.
set -euo pipefail

words=()
for word in "$@"; do
    case $word in
    # Where OpenSSL would look for parts of itself that others make: it would be in the folder that it was built in.
    -DENGINESDIR=* | -DMODULESDIR=*) words+=("${word%%=*}=\"/nowhere\"") ;;
    *) words+=("$word") ;;
    esac
done
while read -r place; do words+=("-ffile-prefix-map=$place"); done <<<"$C_PLACES"
# As of crates: names are enough.
exec "$C_COMPILER" "${words[@]}" -g0
