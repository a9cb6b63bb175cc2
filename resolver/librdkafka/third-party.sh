#!/usr/bin/env bash
# Says what the shipped files are made of besides this project's own code. Run in the workspace; needs its dependencies fetched.
#
#   third-party.sh TRIPLE                   the notices that the licences of that code ask for wherever it goes, compiled or not.
#                                           TRIPLE is the target, as cargo names it, that the files are compiled for
#   third-party.sh TRIPLE VERSION FOLDER    a bill of materials (SBOM: CycloneDX, JSON) of the files in FOLDER: what is in each of
#                                           them, with versions, checksums and licences, for programs that look for known flaws
set -euo pipefail
export LC_ALL=C

# The packages that the files are made of.
readonly SHIPPED=(tracer-resolver-librdkafka tracer-plugin-{otlp,otlp-grpc,jaeger,zipkin,kafka,file} tracer-interceptors)
readonly PAGE=resolver/tool/view

triple=$1
tls=--features=tracer-plugin-kafka/tls
rust=$("${RUSTC:-rustc}" --version | cut -d' ' -f2)
sources=${CARGO_HOME:-$HOME/.cargo}/registry/src
texts=$(mktemp -d)
trap 'rm -rf "$texts"' EXIT

main() {
    if (($# == 1)); then notices; else materials "$2" "$3"; fi
}

# What is in a file of these packages, a line each: `name vVERSION|LICENCE|REPOSITORY`.
code_in() {
    local kafka=()
    if [[ " $* " == *" tracer-plugin-kafka "* && -n $tls ]]; then kafka=("$tls"); fi
    {
        tree "${@/#/-p}" "${kafka[@]}" --edges normal,no-proc-macro
        # OpenSSL's own code is in a package that takes part in the build only.
        if [[ -n ${kafka-} ]]; then tree -p tracer-plugin-kafka "$tls" --edges normal,build | grep '^openssl-src '; fi
    } | sort -u
}

tree() {
    cargo tree --locked "$@" --target "$triple" --prefix none --format '{p}|{l}|{r}' |
        sed -E 's/ \(\*\)$//; s/ \(\*\)\|/|/; /^$/d; /\(\//d'
}

notices() {
    cat <<'INTRODUCTION'
The files of this package are compiled from the project's own code and from the packages below, by the Rust compiler,
whose standard library is under the MIT licence or the Apache licence 2.0, at your choice (Copyright The Rust Project
Developers; https://github.com/rust-lang/rust).

INTRODUCTION
    if [[ $triple == *musl ]]; then
        printf 'So is the unwinder of the LLVM project, which is under the Apache licence 2.0 with the exceptions of LLVM.\n\n'
    fi
    local package licence repository folder files mit file sum packages
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
    done < <(code_in "${SHIPPED[@]}")

    for packages in "$texts"/*.packages; do
        rule "$(paste -sd, "$packages" | sed 's/,/, /g')"
        cat "${packages%.packages}"
    done
    # What the page of `tracer-interceptors view --web` is made of, if it was built: see resolver/tool/view/build.js.
    if [[ -e $PAGE/dist/THIRD-PARTY.txt ]]; then
        rule "In the page of tracer-interceptors view --web, in JavaScript:"
        cat "$PAGE/dist/THIRD-PARTY.txt"
    fi
}

rule() {
    printf '\n%s\n%s\n\n' "------------------------------------------------------------------------" "$1"
}

# The bill of materials of the files of version $1 in the folder $2. What it is made of has no quotes and no backslashes.
materials() {
    local one file separator=''
    # package.sh builds it without where that cannot be had.
    if ! grep -qaE 'OpenSSL [0-9.]+ [0-9]+ [A-Z][a-z]+ 20[0-9]{2}' "$2/libtracer_plugin_kafka.so"; then tls=''; fi
    for one in "${SHIPPED[@]}"; do
        file=lib${one//-/_}.so
        if [[ $one == tracer-resolver-librdkafka ]]; then file=libtracer_interceptors.so; fi
        if [[ $one == tracer-interceptors ]]; then file=$one; fi
        parts_of "$one" | sort >"$texts/$file.parts"
    done
    cat <<START
{
  "bomFormat": "CycloneDX",
  "specVersion": "1.5",
  "version": 1,
  "metadata": {
    "timestamp": "$(date --utc --date="@${SOURCE_DATE_EPOCH:-$(date +%s)}" +%FT%TZ)",
    "component": {"type": "application", "bom-ref": "tracer-resolver", "name": "tracer-resolver", "version": "$1",
      "description": "The shipped files for $triple", "licenses": [{"expression": "Apache-2.0"}]}
  },
  "components": [
START
    local name version licence sum ref cpe
    while IFS='|' read -r ref name version licence sum cpe; do
        printf '%s    {"type": "library", "bom-ref": "%s", "purl": "%s", "name": "%s", "version": "%s"' \
            "$separator" "$ref" "$ref" "$name" "$version"
        separator=$',\n'
        printf ', "licenses": [{"expression": "%s"}]' "${licence//\// OR }"
        if [[ -n $sum ]]; then printf ', "hashes": [{"alg": "SHA-256", "content": "%s"}]' "$sum"; fi
        if [[ -n $cpe ]]; then printf ', "cpe": "cpe:2.3:a:%s:%s:*:*:*:*:*:*:*"' "$cpe" "$version"; fi
        printf '}'
    done < <(sort -u "$texts"/*.parts)
    for file in "$texts"/*.parts; do
        file=$(basename "$file" .parts)
        printf ',\n    {"type": "file", "bom-ref": "%s", "name": "%s", "version": "%s"' "$file" "$file" "$1"
        printf ', "licenses": [{"expression": "Apache-2.0"}], "hashes": [{"alg": "SHA-256", "content": "%s"}]}' \
            "$(sha256sum <"$2/$file" | cut -d' ' -f1)"
    done
    printf '\n  ],\n  "dependencies": [\n    {"ref": "tracer-resolver", "dependsOn": [%s]}' \
        "$(for file in "$texts"/*.parts; do basename "$file" .parts; done | listed)"
    for file in "$texts"/*.parts; do
        printf ',\n    {"ref": "%s", "dependsOn": [%s]}' "$(basename "$file" .parts)" "$(cut -d'|' -f1 "$file" | listed)"
    done
    printf '\n  ]\n}\n'
}

listed() { sed 's/.*/"&"/' | paste -sd, | sed 's/,/, /g'; }

# What is in the file of a package, a line each: `PURL|NAME|VERSION|LICENCE|SHA-256|CPE`, the last two if they are known.
parts_of() {
    local package name version licence zlib
    echo "pkg:generic/rust-std@$rust|rust-std|$rust|MIT OR Apache-2.0||"
    if [[ $triple == *musl ]]; then
        echo "pkg:generic/llvm-libunwind@rust-$rust|llvm-libunwind|rust-$rust|Apache-2.0 WITH LLVM-exception||"
    fi
    while IFS='|' read -r package licence _; do
        name=${package% v*} version=${package#* v}
        echo "pkg:cargo/$name@${version/+/%2B}|$name|$version|$licence|$(checksum "$name" "$version")|"
        # What is known to others by the name of the C code that such a package holds.
        case $name in
        openssl-src) echo "pkg:generic/openssl@${version#*+}|openssl|${version#*+}|Apache-2.0||openssl:openssl" ;;
        rdkafka-sys)
            echo "pkg:github/confluentinc/librdkafka@v${version#*+}|librdkafka|${version#*+}|BSD-2-Clause||"
            ;;
        libz-sys)
            zlib=$(sed -n 's/^#define ZLIB_VERSION "\(.*\)"$/\1/p' "$sources"/*/"libz-sys-$version/src/zlib/zlib.h" | head -n 1)
            echo "pkg:generic/zlib@$zlib|zlib|$zlib|Zlib||zlib:zlib"
            ;;
        esac
    done < <(code_in "$1")
    if [[ $1 == tracer-interceptors && -e $PAGE/dist/THIRD-PARTY.txt ]]; then
        # `NAME VERSION: LICENCE` begins each part of that file.
        sed -nE '1 { s,(.+) (.+): (.+),pkg:npm/\1@\2|\1|\2|\3||,p }; /^-{72}$/ { n; s,(.+) (.+): (.+),pkg:npm/\1@\2|\1|\2|\3||,p }' \
            "$PAGE/dist/THIRD-PARTY.txt" | sed 's,pkg:npm/@,pkg:npm/%40,'
    fi
}

# Of a package's archive, as Cargo.lock has it.
checksum() {
    grep -A 3 -Fx "name = \"$1\"" Cargo.lock | grep -A 2 -Fx "version = \"$2\"" | sed -n 's/^checksum = "\(.*\)"$/\1/p'
}

main "$@"
