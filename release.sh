#!/usr/bin/env bash
# Makes all that a release is made of, and publishes nothing. CONTRIBUTING.md says what comes before it and after it.
#
#   release.sh make [FOLDER]        the crates, the packages for each processor with what is in them (SBOM), and SHA256SUMS, into a
#                                   new folder: target/release-VERSION unless said otherwise. What this machine cannot make is
#                                   skipped, with a line that says why, and once more at the end.
#   release.sh reproduce FOLDER     makes the packages of FOLDER again, from the same commit in another folder, and compares them byte
#                                   for byte.
#   release.sh interfaces [--note]  compares the public interfaces of the crates with those noted in tests/interfaces, where a
#                                   change has to be seen; `--note` notes those of today, and that of the header for C.
set -euo pipefail

# Crates that people write code against. What the others have is for each other.
readonly INTERFACES=(tracer-plugin-api tracer-plugin-kit tracer-plugin-http tracer-resolver tracer-resolver-rdkafka)
# The format of what rustdoc writes changes from nightly to nightly: this version reads that of May 2026.
readonly PUBLIC_API=cargo-public-api@0.52.0

root=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
noted=$root/tests/interfaces
header=resolver/librdkafka/include/tracer_interceptors.h
# Where tests/aarch64/machine and tests/musl/machine have what it takes to build for these.
export AARCH64_MACHINE=${AARCH64_MACHINE:-$root/target/aarch64} MUSL_MACHINE=${MUSL_MACHINE:-$root/target/musl}
skipped=()

main() {
    version=$(sed -n '/^\[workspace\.package\]/,/^\[/ s/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml")
    case "$#${*:+ }$*" in
    '1 make' | '2 make '*) make "${2:-$target/release-$version}" ;;
    '2 reproduce '*) reproduce "$2" ;;
    '1 interfaces' | '2 interfaces --note') interfaces "${2-}" ;;
    *)
        echo "usage: release.sh make [FOLDER], release.sh reproduce FOLDER or release.sh interfaces [--note]" >&2
        exit 2
        ;;
    esac
}

make() {
    local out=$1
    [[ -z $(git -C "$root" status --porcelain) ]] || fail "what is not committed would not be in the release: git status"
    [[ ! -e $out ]] || fail "$out is there already"
    mkdir -p "$out/crates" "$out/packages"
    out=$(cd "$out" && pwd)
    git -C "$root" rev-parse HEAD >"$out/COMMIT"
    cd "$root"
    if grep -q "^## \[$version\] - unreleased" CHANGELOG.md; then echo "NOTE: CHANGELOG.md says that $version is unreleased"; fi

    interfaces ''
    semver
    step "crates"
    # With all that crates.io asks for; each is built from its own archive.
    rm -rf "$target/package" && mkdir -p "$target/package"
    cargo publish --dry-run --workspace --locked 2>&1 | tee "$out/said"
    # Where in that folder they lie differs between versions of cargo, and some keep them twice.
    find "$target/package" -name "*-$version.crate" -exec cp {} "$out/crates/" \;
    [[ $(find "$out/crates" -type f | wc -l) == $(grep -c '^ *Uploading ' "$out/said") ]] ||
        fail "the crates are not in $target/package, where cargo was to put them"
    rm "$out/said"
    packages "$out/packages"
    [[ -z $(git -C "$root" status --porcelain --untracked-files=no) && $(git -C "$root" rev-parse HEAD) == "$(cat "$out/COMMIT")" ]] ||
        fail "something was changed or committed meanwhile: what is in $out is of no one commit"
    (cd "$out" && find . -type f ! -name SHA256SUMS -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum >SHA256SUMS)

    step "made in $out"
    cut -d' ' -f3 "$out/SHA256SUMS"
    echo "Not done here: to sign, to publish, to set a tag. See CONTRIBUTING.md."
    if ((${#skipped[@]})); then printf '%s\n' "${skipped[@]}"; fi
}

# All packages that this machine can make, into the folder $1.
packages() {
    local said
    said=$(mktemp)
    step "packages for $HOSTTYPE"
    "$root/resolver/librdkafka/package.sh" --out "$1" | tee "$said"
    packages_of aarch64 "$AARCH64_MACHINE" "$1" | tee -a "$said"
    packages_of musl "$MUSL_MACHINE" "$1" | tee -a "$said"
    packages_of aarch64 "$AARCH64_MACHINE/musl" "$1" musl | tee -a "$said"
    mapfile -t -O "${#skipped[@]}" skipped < <(grep '^SKIPPED: ' "$said")
    rm -rf "$said" "$1/.python"
}

# Those for another machine, $1, which is in the folder $2, into the folder $3.
packages_of() {
    local machine=$1 folder=$2 out=$3
    shift 3
    step "packages for $machine${*:+ $*}"
    if [[ -e $folder/complete ]] && command -v cargo-zigbuild >/dev/null; then
        "$root/tests/$machine/machine" "$@" package --out "$out"
    else
        echo "SKIPPED: packages for $machine${*:+ $*}: no compiler for it (tests/$machine/machine${*:+ $*} build), or no cargo-zigbuild"
    fi
}

# Another folder, other sources, other target: nothing of that may be seen in what comes of it.
reproduce() {
    local made again
    made=$(cd "$1" && pwd)
    [[ -e $made/COMMIT && -e $made/SHA256SUMS ]] ||
        fail "$made has no COMMIT or no SHA256SUMS: \`release.sh make\` did not make it, or not to its end"
    again=$(mktemp -d)/somewhere/else
    git clone --quiet "$root" "$again"
    git -C "$again" checkout --quiet "$(cat "$made/COMMIT")" ||
        fail "the commit that $made was made from is not in this repository: git fetch"
    (cd "$again" && CARGO_TARGET_DIR=$again/another-target root=$again packages "$again/made")
    step "compared with $made"
    (cd "$again/made" && grep ' packages/' "$made/SHA256SUMS" | sed 's, packages/, ,' | sha256sum --check) ||
        fail "not the same; what was made now is in $again/made"
    rm -rf "${again%/somewhere/else}"
}

interfaces() {
    local crate now
    step "interfaces of the crates"
    if [[ $1 == --note ]]; then cp "$root/$header" "$noted/"; fi
    if ! cargo +nightly --version >/dev/null 2>&1 || ! command -v cargo-public-api >/dev/null; then
        skip "interfaces of the crates: a nightly Rust and cargo-public-api have to be there (cargo install --locked $PUBLIC_API)"
        return
    fi
    now=$(mktemp -d)
    for crate in "${INTERFACES[@]}"; do
        (cd "$root" && cargo public-api --package "$crate" --all-features -sss >"$now/$crate.txt")
        if [[ $1 == --note ]]; then
            cp "$now/$crate.txt" "$noted/"
        elif ! diff -u --label "noted: $crate" --label "now: $crate" "$noted/$crate.txt" "$now/$crate.txt"; then
            fail "the interface of $crate is another one: note it (release.sh interfaces --note), with a line in CHANGELOG.md"
        fi
    done
    rm -r "$now"
    echo "as noted in ${noted#"$root/"}: ${INTERFACES[*]}"
}

# Whether the new version's number may be what it is, by what has changed since the last one.
semver() {
    local last
    step "semantic versioning"
    last=$(git -C "$root" describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null) || true
    if [[ -z $last ]]; then
        skip "semantic versioning: there is no version before this one (no tag such as v0.1.0)"
    elif ! command -v cargo-semver-checks >/dev/null; then
        skip "semantic versioning: cargo-semver-checks is not installed (cargo install --locked cargo-semver-checks)"
    else
        (cd "$root" && cargo semver-checks --baseline-rev "$last" "${INTERFACES[@]/#/--package=}")
    fi
}

step() { printf '\n== %s\n' "$*"; }

skip() {
    echo "SKIPPED: $1"
    skipped+=("SKIPPED: $1")
}

fail() {
    echo "release.sh: $1" >&2
    exit 1
}

main "$@"
