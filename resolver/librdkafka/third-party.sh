#!/usr/bin/env bash
# Prints what the shipped files are made of besides this project's own code, and under which licences: the notices that
# those licences ask for wherever the code goes, compiled or not. Run in the workspace; needs its dependencies fetched.
#
#   third-party.sh TRIPLE      the target, as cargo names it, that the files are compiled for
set -euo pipefail

readonly SHIPPED=(tracer-resolver-librdkafka tracer-plugin-{otlp,otlp-grpc,jaeger,zipkin,kafka,file} tracer-interceptors)

triple=$1
sources=${CARGO_HOME:-$HOME/.cargo}/registry/src
texts=$(mktemp -d)
trap 'rm -rf "$texts"' EXIT

tree() {
    cargo tree --locked "$@" --target "$triple" --prefix none --format '{p}|{l}|{r}' |
        sed -E 's/ \(\*\)$//; s/ \(\*\)\|/|/; /^$/d; /\(\//d'
}
{
    tree "${SHIPPED[@]/#/-p}" --features tracer-plugin-kafka/tls --edges normal,no-proc-macro
    # OpenSSL's own code is in a package that takes part in the build only.
    tree -p tracer-plugin-kafka --features tls --edges normal,build | grep '^openssl-src '
} | sort -u >"$texts/.list"

cat <<'INTRODUCTION'
The files of this package are compiled from the project's own code and from the packages below, by the Rust compiler,
whose standard library is under the MIT licence or the Apache licence 2.0, at your choice (Copyright The Rust Project
Developers; https://github.com/rust-lang/rust).

INTRODUCTION

while IFS='|' read -r package licence repository; do
    printf '%s: %s (%s)\n' "$package" "$licence" "$repository"
    folder=$(find "$sources" -mindepth 2 -maxdepth 2 -name "${package/ v/-}" | sort | head -n 1)
    [[ -n $folder ]] || { echo "third-party.sh: the source of $package is not in $sources" >&2; exit 1; }
    files=$(find "$folder" -maxdepth 3 -type f \( -iname 'licen[sc]e*' -o -iname 'copying*' -o -iname 'notice*' \) | sort)
    # Where there is a choice, this is it: its text names the authors, as Apache's does not.
    if [[ $licence != *AND* ]] && mit=$(grep -i '/[^/]*mit[^/]*$' <<<"$files"); then files=$mit; fi
    while read -r file; do
        [[ -n $file ]] || continue
        sum=$(sha256sum <"$file" | cut -d' ' -f1)
        cp --no-preserve=mode "$file" "$texts/$sum"
        echo "${package/ v/ }" >>"$texts/$sum.packages"
    done <<<"$files"
done <"$texts/.list"

for packages in "$texts"/*.packages; do
    printf '\n%s\n%s\n\n' "------------------------------------------------------------------------" "$(paste -sd, "$packages" | sed 's/,/, /g')"
    cat "${packages%.packages}"
done

# What the page of `tracer-interceptors view --web` is made of, if it was built: see resolver/tool/view/build.js.
page=resolver/tool/view/dist/THIRD-PARTY.txt
if [[ -e $page ]]; then
    printf '\n%s\n%s\n\n' "------------------------------------------------------------------------" \
        "In the page of tracer-interceptors view --web, in JavaScript:"
    cat "$page"
fi
