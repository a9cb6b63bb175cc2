# shellcheck shell=bash
# What a system with musl is made of, for the machines of tests/musl and tests/aarch64. Sourced, after tests/debian.sh, with the
# folder in $folder, the project in $project, the processor in $processor, and Debian's name of it in $architecture.

# The compiler for the machine, in C and C++.
zcc() { ZIG_TARGET=$processor-linux-musl "$project/resolver/librdkafka/zig-linker.sh" "$@"; }

# Rust's standard library for the machine, of its source, where the compiler finds it as any other. With its bitcode: the profile
# `shipped` optimises all code of a file together.
standard_library() {
  local target=$processor-unknown-linux-musl
  local crate=$folder/std lib=$folder/host/usr/lib/rustlib/$target/lib
  mkdir -p "$crate" "$lib"
  printf '[package]\nname = "nothing"\nversion = "0.0.0"\nedition = "2021"\n[lib]\npath = "lib.rs"\n[workspace]\n' > "$crate/Cargo.toml"
  echo '#![no_std]' > "$crate/lib.rs"
  (
    cd "$crate"
    export RUSTC=$folder/rustc RUSTC_BOOTSTRAP=1 RUSTFLAGS='-C target-feature=-crt-static -C embed-bitcode=yes'
    cargo build --quiet --release -Zbuild-std=std,panic_unwind --target "$target" --target-dir "$crate/target"
  )
  rm "$crate/target/$target/release/deps"/libnothing-*
  cp "$crate/target/$target/release/deps"/*.rlib "$lib/"
  rm -r "$crate"
}

# Lists of a release of Debian's, of packages (deb) or of sources (deb-src), from where this machine has its own.
debian_lists() {
  local release=$1 uri
  # shellcheck disable=SC2016 # apt's own.
  uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
  mkdir -p "$folder/apt/$architecture-$release"
  echo "$2 [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $release main" > "$folder/apt/$architecture-$release/sources.list"
  apt "$architecture-$release" update
}

# The musl of a release of Debian, into a root.
c_library() {
  local release=$1 into=$2
  debian_lists "$release" deb
  unpacked "$architecture-$release" "$folder/$release" musl
  cp "$(find "$folder/$release" -name libc.so)" "$into/lib/ld-musl-$processor.so.1"
  rm -r "${folder:?}/$release"
}

# The librdkafka that the Rust client brings, as a shared object: its headers into the first folder, the object into the others.
librdkafka() {
  local source=$folder/librdkafka headers=$1 manifest into
  shift
  manifest=$(cargo metadata --locked --format-version 1 --manifest-path "$project/Cargo.toml" |
    python3 -c 'import json, sys; print(*(p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"] == "rdkafka-sys"))')
  cp -r "$(dirname "$manifest")/librdkafka" "$source"
  (
    cd "$source"
    export ZIG_TARGET=$processor-linux-musl CC=$project/resolver/librdkafka/zig-linker.sh
    ./configure --cc="$CC" --cxx=false --disable-{ssl,gssapi,zstd,curl,zlib,c11threads}
    make -C src librdkafka.so.1
  ) > "$folder/librdkafka.log" 2>&1 || { tail "$folder/librdkafka.log" >&2; exit 1; }
  mkdir -p "$headers/librdkafka"
  cp "$source"/src/rdkafka*.h "$headers/librdkafka/"
  for into in "$@"; do
    cp "$source/src/librdkafka.so.1" "$into/lib/"
    ln -sf librdkafka.so.1 "$into/lib/librdkafka.so"
  done
  rm -r "$source"
}

# The wheel of a folder, as pip there would install it, into another folder.
wheel_installed() {
  pip install --quiet --no-input --disable-pip-version-check --no-compile --no-deps --only-binary :all: \
    --platform "musllinux_1_2_$processor" --target "$2" "$1"/tracer_interceptors-*.whl
}
