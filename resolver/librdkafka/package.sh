#!/usr/bin/env bash
# Builds the packages by which people get the library: a Python wheel, an npm package, packages for Debian and for systems
# with rpm, and an archive with a script that installs it.
#
#   resolver/librdkafka/package.sh [--only wheel|npm|deb|rpm|archive] [--machine x86_64|aarch64|x86_64-musl|aarch64-musl]
#                                  [--profile shipped|release|dev] [--glibc 2.N|own] [--built FOLDER] [--out FOLDER]
#
# --only     one of them; it is then an error (status 3) if this machine lacks what that takes. Without it, what cannot be
#            built here is skipped with a line that says why.
# --machine  the processor that the files are for; this machine's unless said otherwise. For another one it takes
#            cargo-zigbuild, and of that processor: Rust's standard library (for the rustc in RUSTC, if that is set), a
#            libgcc_s.so.1 (named by LIBGCC_S, or of Debian's gcc for it), an objcopy, and what runs its programs: the command
#            in cargo's variable CARGO_TARGET_…_RUNNER, or qemu. `tests/aarch64/machine package` brings all of it. With
#            -musl they are for a system with musl in place of glibc, such as Alpine: as for another processor, without a
#            libgcc_s.so.1; `tests/musl/machine package` and `tests/aarch64/machine musl package` bring it. There is no deb and
#            no rpm of them.
# --profile  cargo's; `shipped` unless said otherwise, which is `release` with all code of a file optimised together.
# --glibc    the oldest glibc that the files have to run with; it takes cargo-zigbuild (`pip install ziglang cargo-zigbuild`,
#            and the environment's bin in the PATH), and without that it is an error (status 3). `own` is this machine's,
#            and takes nothing. Unless said otherwise it is 2.17 where cargo-zigbuild is there, and else `own`.
# --built    takes the libraries and the tool from that folder, and builds nothing.
# --out      where the packages go; target/packages unless said otherwise.
#
# All of them hold the same files, stripped. The wheel's tag and the dependencies of deb and rpm say which glibc they need, as
# read off the files; a wheel for musl is for 1.2 and later. What was stripped goes into an archive beside the packages: unpack it
# beside the files, or into a folder of the debugger's, which finds it by the build id. The headers for plugins of one's own are in
# another archive, and the bill of materials (CycloneDX) says whose code is in the files. No file says in which folder it was built:
# `release.sh reproduce` builds the packages again in another one, and compares.
set -euo pipefail

readonly LIBRARIES=(libtracer_interceptors.so libtracer_plugin_{otlp,otlp_grpc,jaeger,zipkin,kafka,file}.so)
readonly TOOL=tracer-interceptors
# What a system with glibc has in any case (as in PEP 600), so that the packages need not bring it.
readonly EVERYWHERE_GNU='ld-linux-x86-64\.so\.2|ld-linux-aarch64\.so\.1|libc\.so\.6|libdl\.so\.2|libgcc_s\.so\.1|libm\.so\.6|libpthread\.so\.0|librt\.so\.1'
# musl has all in one file, and its dynamic linker takes any such name for itself.
readonly EVERYWHERE_MUSL='libc\.so'

# What manylinux2014 stands for: CentOS 7, and all that came after it.
readonly OLDEST=2.17
readonly KINDS=(wheel npm deb rpm archive)

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
only='' machine=$HOSTTYPE libc=gnu profile=shipped oldest='' built='' out=$target/packages

main() {
    read_words "$@"
    mkdir -p "$out"
    out=$(cd "$out" && pwd)
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    umask 022
    version=$(sed -n '/^\[workspace\.package\]/,/^\[/ s/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml")
    # An archive made again from the same files is the same, byte for byte.
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2>/dev/null || date +%s)}
    export SOURCE_DATE_EPOCH LC_ALL=C

    choose_machine
    local package lack wanted=()
    for package in ${only:-"${KINDS[@]}"}; do
        if [[ $libc == musl && $package =~ ^(deb|rpm)$ ]]; then continue; fi
        lack=$("lack_of_$package")
        if [[ -z $lack ]]; then
            wanted+=("$package")
        elif [[ -z $only ]]; then
            echo "SKIPPED: $package: $lack"
        else
            fail 3 "cannot build the $package here: $lack"
        fi
    done
    choose_glibc
    gather
    for package in "${wanted[@]}"; do "make_$package"; done
    deliver_symbols
    deliver_materials
    deliver_kit
}

read_words() {
    while (($#)); do
        case $1 in
        --only) only=${2-} ;;
        --machine) machine=${2-} ;;
        --profile) profile=${2-} ;;
        --glibc) oldest=${2-} ;;
        --built) built=${2-} ;;
        --out) out=${2-} ;;
        *) fail 2 "there is no option $1: --only, --machine, --profile, --glibc, --built, --out" ;;
        esac
        [[ -n ${2-} ]] || fail 2 "$1 needs a value"
        shift 2
    done
    [[ $only =~ ^(|wheel|npm|deb|rpm|archive)$ ]] || fail 2 "--only takes wheel, npm, deb, rpm or archive"
    [[ $machine =~ ^(x86_64|aarch64)(-musl)?$ ]] || fail 2 "--machine takes x86_64 or aarch64, or one of them with -musl"
    if [[ $machine == *-musl ]]; then libc=musl machine=${machine%-musl}; fi
    [[ $libc != musl || -z $oldest ]] || fail 2 "--glibc is for systems with glibc, not for musl"
    [[ $libc != musl || ! $only =~ ^(deb|rpm)$ ]] || fail 2 "there is no $only for musl: --only wheel, npm or archive"
    [[ $profile =~ ^(shipped|release|dev)$ ]] || fail 2 "--profile takes shipped, release or dev"
    [[ $oldest =~ ^(|own|2\.[0-9]+)$ ]] || fail 2 "--glibc takes a version such as 2.17, or own"
}

# What this machine lacks for a package, in words; nothing if nothing.

lack_of_wheel() {
    local python=$out/.python/bin/python said
    "$python" -c 'import setuptools.command.bdist_wheel' 2>/dev/null && return
    rm -rf "$out/.python"
    command -v python3 >/dev/null || { echo "python3 is not installed"; return; }
    said=$(python3 -m venv "$out/.python" 2>&1) || { echo "python3 makes no venv (Debian: python3-venv)"; return; }
    said=$("$python" -m pip install --quiet 'setuptools>=77' 2>&1) || echo "pip gets no setuptools: ${said##*$'\n'}"
}

lack_of_npm() {
    command -v npm >/dev/null || echo "npm is not installed"
}

lack_of_deb() {
    command -v dpkg-deb >/dev/null || echo "dpkg-deb is not installed"
}

lack_of_rpm() {
    command -v rpmbuild >/dev/null || echo "rpmbuild is not installed (Debian: rpm)"
}

# tar and gzip, which the other archives beside the packages take too.
lack_of_archive() { :; }

# Of a machine that is not this one.
lack_of_machine() {
    local folder
    if [[ -z $built ]]; then
        folder=$("${RUSTC:-rustc}" --print target-libdir --target "$triple" 2>/dev/null) || folder=/nowhere
        compgen -G "$folder/libstd-*.rlib" >/dev/null ||
            { echo "rustc has no standard library for it (rustup target add $triple, or tests/$example/machine build)"; return; }
        [[ $libc == musl || -e $LIBGCC_S ]] || { echo "its libgcc_s.so.1 is not known (Debian: gcc-${machine//_/-}-linux-gnu, or LIBGCC_S)"; return; }
    fi
    command -v "$objcopy" >/dev/null || { echo "$objcopy is not installed (Debian: binutils-${machine//_/-}-linux-gnu)"; return; }
    [[ -z ${runner[*]} ]] || command -v "${runner[0]}" >/dev/null ||
        echo "${runner[0]}, which runs its programs, is not there (Debian: $runs; or tests/$example/machine build)"
}

lack_of_zig() {
    command -v cargo-zigbuild >/dev/null || echo "cargo-zigbuild is not in the PATH (pip install ziglang cargo-zigbuild)"
}

# What OpenSSL's own build wants, which is part of the plugin kafka.
lack_of_openssl() {
    perl -MFindBin -MIPC::Cmd -MTime::Piece -e 1 2>/dev/null || echo "perl is not installed, or not all of it (Debian: perl)"
}

# Sets what depends on the machine: its name in those of files, `triple` for cargo, `objcopy`, and `runner`, which runs a
# program of it here.
choose_machine() {
    local lack name example=$machine runs=qemu-user-static
    triple=$machine-unknown-linux-$libc named=$machine objcopy=objcopy runner=()
    if [[ $machine == "$HOSTTYPE" && $libc == gnu ]]; then return; fi
    if [[ $machine != "$HOSTTYPE" ]]; then
        objcopy=$machine-linux-gnu-objcopy
        runner=("qemu-$machine-static" -L "/usr/$machine-linux-gnu")
    fi
    if [[ $libc == musl ]]; then named=$machine-musl example=musl runs=musl runner=("/lib/ld-musl-$machine.so.1"); fi
    name=${triple//-/_} name=CARGO_TARGET_${name^^}_RUNNER
    if [[ -n ${!name-} ]]; then read -r -a runner <<<"${!name}"; fi
    if [[ $libc == gnu ]]; then
        export LIBGCC_S=${LIBGCC_S:-$("$machine-linux-gnu-gcc" -print-file-name=libgcc_s.so.1 2>/dev/null || true)}
    fi
    lack=$(lack_of_machine)
    [[ -z $lack ]] || fail 3 "cannot build for $named here: $lack"
    if [[ $libc == musl ]]; then
        lack=$(lack_of_zig)
        [[ -z $lack || -n $built ]] || fail 3 "cannot build for $named here: $lack"
    elif [[ -z $built ]]; then
        [[ $oldest != own ]] || fail 2 "--glibc own is this machine's, which is no $machine"
        oldest=${oldest:-$OLDEST}
    fi
}

# What nobody chose: an old glibc where that can be done. Nothing is installed for it.
choose_glibc() {
    local lack=''
    if [[ $libc == musl ]]; then return; fi
    if [[ -z $built && $oldest != own ]]; then lack=$(lack_of_zig); fi
    if [[ -n $lack && -n $oldest ]]; then fail 3 "cannot build for glibc $oldest here: $lack"; fi
    if [[ -n $lack ]]; then echo "SKIPPED: glibc $OLDEST: $lack: what is built needs a glibc as new as this machine's"; fi
    if [[ -z $oldest ]]; then
        oldest=own
        if [[ -z $built && -z $lack ]]; then oldest=$OLDEST; fi
    fi
}

# Puts what all packages hold into $work/lib, and says which glibc it needs.
gather() {
    if [[ -z $built ]]; then build; fi
    mkdir "$work/lib" "$work/symbols"
    local file strange everywhere=$EVERYWHERE_GNU
    for file in "${LIBRARIES[@]}" "$TOOL"; do
        strange=$(readelf --file-header "$built/$file" | sed -n 's/^ *Machine: *//p' | tr '[:upper:] -' '[:lower:]__')
        [[ $strange == *"$machine" ]] || fail 1 "$file is not for $machine: $strange"
        "$objcopy" --only-keep-debug "$built/$file" "$work/symbols/$file.debug"
        "$objcopy" --strip-unneeded --add-gnu-debuglink="$work/symbols/$file.debug" "$built/$file" "$work/lib/$file"
        chmod 644 "$work/lib/$file" "$work/symbols/$file.debug"
    done
    chmod 755 "$work/lib/$TOOL"

    readelf --wide --dynamic --version-info "$work"/lib/* >"$work/needs"
    if [[ $libc == musl ]]; then everywhere=$EVERYWHERE_MUSL; fi
    strange=$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' "$work/needs" | sort -u | sed -E "/^($everywhere)\$/d")
    [[ -z $strange ]] || fail 1 "the files need what not every system has: $strange"
    if [[ $libc == gnu ]]; then check_glibc; else check_musl; fi
    (cd "$root" && "$here/third-party.sh" "$triple") >"$work/THIRD-PARTY.txt"
}

# That the files run with the glibc that was chosen, and which one they need.
check_glibc() {
    local strange
    # A linker takes it for granted that whoever loads a library has its functions. One of an old system may not have those
    # that a newer one has without a version here; what is weak may be missing.
    strange=$(readelf --wide --dyn-syms "$work"/lib/* |
        awk '$5 == "GLOBAL" && $7 == "UND" && $8 !~ /@/ { print $8 }' | sort -u | tr '\n' ' ')
    [[ -z $strange ]] || fail 1 "the files need functions of which nobody says where they are: $strange"
    glibc=$(sed -n 's/.*Name: GLIBC_\([0-9]*\.[0-9]*\).*/\1/p' "$work/needs" | sort -V | tail -n 1)
    [[ $glibc == 2.* ]] || fail 1 "readelf says nothing of the glibc that the files need"
    if [[ $oldest != own && $(printf '%s\n' "$oldest" "$glibc" | sort -V | tail -n 1) != "$oldest" ]]; then
        fail 1 "the files need glibc $glibc, and are to run with $oldest"
    fi
    echo "the files need glibc $glibc or later"
}

# That nothing is in the files which the first musl of 1.2 does not know, as far as files show that: it finds functions by their
# names alone, and relocates by what is written out. `tests/musl/machine test` runs them with an old one.
check_musl() {
    local strange
    strange=$(grep -m 1 '(RELR' "$work/needs" || true)
    [[ -z $strange ]] || fail 1 "the files need musl 1.2.4: $strange"
    strange=$(grep -m 1 -o 'GLIBC_[0-9.]*' "$work/needs" || true)
    [[ -z $strange ]] || fail 1 "the files are made for glibc: they need $strange"
    echo "the files need musl 1.2 or later"
}

build() {
    local one lack folder=$profile
    local cargo=(cargo) words=(--locked --profile "$profile")
    if [[ $profile == dev ]]; then folder=debug; fi
    built=$target/$folder
    if [[ $oldest == own ]]; then
        echo "building the libraries ($profile)"
    else
        echo "building the libraries ($profile) for ${oldest:+glibc $oldest on }$named"
        cargo=(cargo-zigbuild)
        words+=(--target "$triple${oldest:+.$oldest}")
        built=$target/$triple/$folder
        one=${triple//-/_} one=CARGO_TARGET_${one^^}
        export ZIG_TARGET=$machine-linux-$libc${oldest:+.$oldest} "${one}_LINKER=$here/zig-linker.sh"
        # A library has to be linked dynamically, and what loads one; Rust's way for musl is another.
        if [[ $libc == musl ]]; then export RUSTFLAGS="${RUSTFLAGS:+$RUSTFLAGS }-C target-feature=-crt-static"; fi
        if [[ $libc == gnu ]]; then export LIBGCC_S=${LIBGCC_S:-$(cc -print-file-name=libgcc_s.so.1)}; fi
    fi
    cd "$root"
    build_page
    forget_places
    "${cargo[@]}" build "${words[@]}" -p "$TOOL" --bin "$TOOL"
    # Each by itself, and as nothing but a shared object: only so is all code of a file optimised together, and in none is
    # what only another needs. See RATIONALE.md, "Why is each file built by itself?".
    for one in tracer-resolver-librdkafka tracer-plugin-{otlp,otlp-grpc,jaeger,zipkin,file}; do
        "${cargo[@]}" rustc "${words[@]}" -p "$one" --lib --crate-type cdylib
    done
    # librdkafka's build asks nobody but CC which compiler to take.
    export CC=c-compiler.sh
    lack=$(lack_of_openssl)
    if [[ -z $lack ]]; then words+=(--features tls); else echo "SKIPPED: TLS and SCRAM of the plugin kafka: $lack"; fi
    "${cargo[@]}" rustc "${words[@]}" -p tracer-plugin-kafka --lib --crate-type cdylib
}

# The files say nothing of where they are built, so that they are the same, byte for byte, wherever that is.
forget_places() {
    local flags place name=${triple//-/_}
    # Of several that fit, the compilers take the last one.
    local places=("$root=/tracer-resolver" "${CARGO_HOME:-$HOME/.cargo}/registry/src=/crates" "$target=/target")
    flags=${CARGO_ENCODED_RUSTFLAGS-${RUSTFLAGS-}}
    if [[ -z ${CARGO_ENCODED_RUSTFLAGS-} ]]; then flags=${flags// /$'\x1f'}; fi
    for place in "${places[@]}"; do flags+=${flags:+$'\x1f'}--remap-path-prefix=$place; done
    export CARGO_ENCODED_RUSTFLAGS=$flags
    # By its name alone, and not by its path: OpenSSL writes into itself what it was compiled with.
    export PATH=$here:$PATH "CC_$name=c-compiler.sh" C_COMPILER=${CC:-cc} C_PLACES
    C_PLACES=$(printf '%s\n' "${places[@]}")
    if [[ $oldest != own ]]; then C_COMPILER=$here/zig-linker.sh; fi
}

# The page of `tracer-interceptors view --web`, which cargo puts into the tool if it is there.
build_page() {
    local lack='' said page=$root/resolver/tool/view
    if ! command -v npm >/dev/null; then
        lack="npm is not installed"
    elif ! said=$(npm --prefix "$page" run page 2>&1); then
        lack="npm cannot build it: ${said##*$'\n'}"
    fi
    if [[ -n $lack && -e $page/dist/app.js ]]; then
        echo "SKIPPED: the page of view --web is the one that was built before: $lack"
    elif [[ -n $lack ]]; then
        echo "SKIPPED: the page of view --web: $lack: the tool says so when it is asked for"
    fi
}

make_wheel() {
    local stage=$work/python package=$work/python/tracer_interceptors
    cp -r "$here/python" "$stage"
    rm -rf "$package/__pycache__"
    cp -r "$work/lib" "$package/lib"
    cp -r "$here/include" "$package/include"
    cp "$root/resolver/default-config.toml" "$package/"
    page python.md >"$stage/README.md"
    cp "$root/LICENSE" "$work/THIRD-PARTY.txt" "$stage/"
    echo "$version" >"$stage/VERSION"
    # pip before 20.3 knows the other name only.
    if [[ $libc == musl ]]; then
        echo "musllinux_1_2_$machine" >"$stage/PLATFORM"
    elif [[ $(printf '%s\n' "$glibc" 2.17 | sort -V | tail -n 1) == 2.17 ]]; then
        echo "manylinux2014_$machine.manylinux_${glibc/./_}_$machine" >"$stage/PLATFORM"
    else
        echo "manylinux_${glibc/./_}_$machine" >"$stage/PLATFORM"
    fi
    (cd "$stage" && "$out/.python/bin/python" -m pip wheel --quiet --no-build-isolation --no-deps --wheel-dir "$work/wheel" .)
    deliver "$work"/wheel/*.whl
}

make_npm() {
    local stage=$work/npm
    cp -r "$here/npm" "$stage"
    cp -r "$work/lib" "$stage/lib"
    cp -r "$here/include" "$stage/include"
    cp "$root/resolver/default-config.toml" "$root/LICENSE" "$work/THIRD-PARTY.txt" "$stage/"
    page node.md >"$stage/README.md"
    local words=(version="$version") processor=x64 kind=''
    # npm installs it on no other machine, and gives its file the same name for each.
    if [[ $machine == aarch64 ]]; then processor=arm64 words+=('cpu[0]=arm64'); fi
    if [[ $libc == musl ]]; then kind=-musl words+=('libc[0]=musl'); fi
    local file=$work/tracer-interceptors-$version-linux-$processor$kind.tgz
    if [[ $processor$kind == x64 ]]; then file=$work/tracer-interceptors-$version.tgz; fi
    (cd "$stage" && npm pkg set "${words[@]}" && npm pack --silent >/dev/null)
    mv "$stage"/*.tgz "$file"
    deliver "$file"
}

# All files as they lie below a prefix, in the folder $1. $2 is the prefix, as pkg-config may name it.
prefix_tree() {
    local share=$1/share file
    mkdir -p "$1"/{bin,lib/tracer-resolver,include/tracer-resolver} "$share"/{man/man1,tracer-resolver,pkgconfig}
    mkdir -p "$share"/{bash-completion/completions,zsh/site-functions,fish/vendor_completions.d}
    for file in "${LIBRARIES[@]}"; do cp "$work/lib/$file" "$1/lib/tracer-resolver/"; done
    cp "$work/lib/$TOOL" "$1/bin/"
    cp "$root/resolver/default-config.toml" "$share/tracer-resolver/"
    # What `run` brings into Python and Node programs.
    mkdir -p "$share"/tracer-resolver/{python/tracer_interceptors/start,node/layer}
    cp "$here"/python/tracer_interceptors/*.py "$share/tracer-resolver/python/tracer_interceptors/"
    cp "$here"/python/tracer_interceptors/start/*.py "$share/tracer-resolver/python/tracer_interceptors/start/"
    cp "$here"/npm/layer/*.js "$share/tracer-resolver/node/layer/"
    cp "$root"/plugins/api/include/* "$here/include/tracer_interceptors.h" "$1/include/tracer-resolver/"
    plugin_pc "$2" /tracer-resolver >"$share/pkgconfig/tracer-plugin.pc"
    documentation "$share/doc/tracer-resolver"
    # The command writes its own manual pages and completions: what `--help` says is said once.
    "${runner[@]}" "$work/lib/$TOOL" manual "$share/man/man1"
    gzip -9n "$share"/man/man1/*.1
    "${runner[@]}" "$work/lib/$TOOL" completions bash >"$share/bash-completion/completions/$TOOL"
    "${runner[@]}" "$work/lib/$TOOL" completions zsh >"$share/zsh/site-functions/_$TOOL"
    "${runner[@]}" "$work/lib/$TOOL" completions fish >"$share/fish/vendor_completions.d/$TOOL.fish"
}

# A version such as 1.0.0-rc.1 comes before 1.0.0 for dpkg and rpm too if its dash is a tilde.
filled_in() {
    sed -e "s/@VERSION@/${version/-/\~}/" -e "s/@GLIBC@/$glibc/" -e "s/@MACHINE@/$1/" -e "s/@SIZE@/${3-}/" "$2"
}

make_deb() {
    local stage=$work/deb architecture=amd64
    if [[ $machine == aarch64 ]]; then architecture=arm64; fi
    mkdir -p "$stage/DEBIAN"
    prefix_tree "$stage/usr" /usr
    # Debian leaves the other name to whoever administers the machine.
    mv "$stage/usr/share/zsh/site-functions" "$stage/usr/share/zsh/vendor-completions"
    cat "$here/debian/copyright" "$work/THIRD-PARTY.txt" >"$stage/usr/share/doc/tracer-resolver/copyright"
    cp "$here/debian/prerm" "$stage/DEBIAN/"
    chmod 755 "$stage/DEBIAN/prerm"
    filled_in "$architecture" "$here/debian/control" "$(du -sk --apparent-size "$stage/usr" | cut -f1)" >"$stage/DEBIAN/control"
    find "$stage" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group --build "$stage" "$work" >/dev/null
    deliver "$work"/*.deb
}

make_rpm() {
    local stage=$work/rpm
    mkdir -p "$stage/root" "$stage/top"
    prefix_tree "$stage/root/usr" /usr
    cp "$work/THIRD-PARTY.txt" "$stage/root/usr/share/doc/tracer-resolver/"
    filled_in "$machine" "$here/rpm/tracer-resolver.spec" >"$stage/tracer-resolver.spec"
    rpmbuild -bb --quiet --target "$machine-linux" --define "_topdir $stage/top" --define "tree $stage/root" \
        "$stage/tracer-resolver.spec"
    deliver "$stage"/top/RPMS/*/*.rpm
}

# For whoever has none of these: to be unpacked anywhere, and copied below a prefix by its script.
make_archive() {
    local name=tracer-resolver-$version-linux-$named
    mkdir -p "$work/archive/$name"
    # shellcheck disable=SC2016 # pkg-config's own variable.
    prefix_tree "$work/archive/$name/tree" '${pcfiledir}/../..'
    cp "$work/THIRD-PARTY.txt" "$work/archive/$name/tree/share/doc/tracer-resolver/"
    cp "$here/install.sh" "$work/archive/$name/"
    pack "$work/archive" "$name" "$work/$name.tar.gz"
    deliver "$work/$name.tar.gz"
}

# The archive $3 of $2 in the folder $1; the same again, byte for byte, of the same files.
pack() {
    tar --create --directory="$1" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" "$2" |
        gzip -9n >"$3"
}

# A page of docs/ as it stands alone, on an index of packages: links to files here would lead nowhere there. The
# configuration that it speaks of comes at its end. `-z`: the text of a link may go on in the next line.
page() {
    local file text
    text=$(<"$here/docs/$1")
    sed -z -E -e 's|\[([^]]+)\]\(\.\./README\.md[^)]*\)|\1 (resolver/librdkafka/README.md in the source)|g' \
        -e 's|\[([^]]+)\]\(([a-z-]+\.md)[^)]*\)|\1 (resolver/librdkafka/docs/\2 in the source)|g' \
        -e 's|\[([^]]+)\]\([^):]+\)|\1|g' <<<"$text"
    for file in $(grep -oE '\]\([a-z]+\.toml\)' <<<"$text" | tr -d ']()' | sort -u); do
        printf '\n## %s\n\n```toml\n%s\n```\n' "$file" "$(<"$here/docs/$file")"
    done
}

# For pkg-config: the headers of the plugin contract below a prefix.
plugin_pc() {
    local header=$root/plugins/api/include/tracer_plugin.h abi
    abi=$(sed -n 's/^#define TRACER_ABI_MAJOR //p' "$header").$(sed -n 's/^#define TRACER_ABI_MINOR //p' "$header")
    sed -e "s|@PREFIX@|$1|" -e "s|@FOLDER@|$2|" -e "s|@ABI@|$abi|" "$root/plugins/api/tracer-plugin.pc.in"
}

# The pages for users, in the folder $1 as they lie in the source, so that their links lead where they lead there. What they name
# besides is in the source only. `-z`: the text of a link may go on in the next line.
documentation() {
    local page to there missing
    local -a files=(README.md SECURITY.md CHANGELOG.md LICENSE docs plugins/README.md plugins/api/{README.md,include}
        resolver/default-config.toml resolver/benches/whole/{README,RESULTS,RESULTS-kafka}.md
        resolver/librdkafka/{README.md,docs,include})
    mkdir -p "$1"
    (cd "$root" && cp -r --parents "${files[@]}" "$1")
    while IFS= read -r page; do
        missing=()
        while IFS= read -r to; do
            there=$(realpath --canonicalize-missing --relative-to="$1" "${page%/*}/$to")
            if [[ ! -e $1/$there ]]; then missing+=(-e "s;!?\[([^]]+)\]\(${to//./\\.}(#[^)]*)?\);\1 ($there in the source);g"); fi
        done < <(grep -oP '\]\(\K[^)#:]+(?=[#)])' "$page" | sort -u)
        if [[ ${#missing[@]} != 0 ]]; then sed -z -E -i "${missing[@]}" "$page"; fi
    done < <(find "$1" -name '*.md')
}

# The pages for authors of plugins, side by side in a folder; what they say of other pages is in the source.
author_pages() {
    local page
    mkdir -p "$1"
    for page in plugins/api/README.md docs/plugin-kit.md docs/plugin-debugging.md; do
        sed -z -E -e 's;\]\((\.\./)*(docs|plugins/api)/;](;g' \
            -e 's;\[([^]]+)\]\((command|troubleshooting)\.md[^)]*\);\1 (docs/\2.md in the source);g' \
            "$root/$page" >"$1/${page##*/}"
    done
}

# For authors of plugins who have no Debian: headers, the linker's script and the pages, to be unpacked anywhere.
deliver_kit() {
    local kit=tracer-plugin-kit-$version
    mkdir -p "$work/kit/$kit/lib/pkgconfig"
    cp -r "$root/plugins/api/include" "$root/LICENSE" "$work/kit/$kit/"
    author_pages "$work/kit/$kit"
    # shellcheck disable=SC2016 # pkg-config's own variable.
    plugin_pc '${pcfiledir}/../..' '' >"$work/kit/$kit/lib/pkgconfig/tracer-plugin.pc"
    pack "$work/kit" "$kit" "$out/$kit.tar.gz"
    echo "kit for plugins: $out/$kit.tar.gz"
}

# What a debugger wants to know of the files, by the same names.
deliver_symbols() {
    local archive=tracer-resolver-$version-linux-$named-debug-symbols.tar.gz
    pack "$work/symbols" . "$out/$archive"
    echo "debug symbols: $out/$archive"
}

# What is in the files, for programs that look for known flaws.
deliver_materials() {
    local file=$out/tracer-resolver-$version-linux-$named.cdx.json
    (cd "$root" && "$here/third-party.sh" "$triple" "$version" "$work/lib") >"$file"
    echo "bill of materials: $file"
}

deliver() {
    local file=$out/${1##*/}
    mv "$1" "$out/"
    echo "built $file"
    case $file in
    *.whl) echo "install it with: pip install $file" ;;
    *.tgz) echo "install it with: npm install $file" ;;
    *.deb) echo "install it with: sudo apt install $file" ;;
    *.rpm) echo "install it with: sudo dnf install $file" ;;
    *.tar.gz) echo "install it with: tar -xzf $file && sudo $(basename "$file" .tar.gz)/install.sh" ;;
    esac
}

fail() {
    echo "package.sh: $2" >&2
    exit "$1"
}

main "$@"
