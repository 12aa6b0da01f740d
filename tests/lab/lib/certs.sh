# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2154 # see common.sh
# Certificates. Each is good for client and server; its name is the host's.
# vmferry's have ECDSA keys. libvirt 9.0 and QEMU 7.2 insist on a key usage that only RSA keys have.

# certs_ca DIR NAME: DIR/cacert.pem and DIR/cakey.pem
certs_ca() {
    local dir=$1
    mkdir -p "$dir"
    printf 'cn = "%s"\nca\ncert_signing_key\nexpiration_days = 30\n' "$2" >"$dir/ca.info"
    certs_key ecdsa "$dir/cakey.pem"
    certs_tool --generate-self-signed --load-privkey "$dir/cakey.pem" \
        --template "$dir/ca.info" --outfile "$dir/cacert.pem"
}

# certs_issue CADIR DIR KEYTYPE NAME ADDRESS [TEMPLATE LINE]: DIR/{cacert,cert,key}.pem
certs_issue() {
    local ca=$1 dir=$2
    mkdir -p "$dir"
    cat >"$dir/cert.info" <<-END
	organization = "vmferry lab"
	cn = "$4"
	dns_name = "$4"
	ip_address = "$5"
	tls_www_server
	tls_www_client
	signing_key
	encryption_key
	${6:-expiration_days = 30}
	END
    certs_key "$3" "$dir/key.pem"
    certs_tool --generate-certificate --load-privkey "$dir/key.pem" \
        --load-ca-certificate "$ca/cacert.pem" --load-ca-privkey "$ca/cakey.pem" \
        --template "$dir/cert.info" --outfile "$dir/cert.pem"
    cp "$ca/cacert.pem" "$dir/"
}

# certs_key ecdsa|rsa FILE
certs_key() {
    local size=--curve=secp256r1
    [[ $1 == ecdsa ]] || size=--bits=2048
    certs_tool --generate-privkey "--key-type=$1" "$size" --outfile "$2"
}

certs_tool() {
    local said
    said=$(certtool "$@" 2>&1) || die "certtool $1 failed: $said"
}

host_address() {
    case $1 in
    hosta) echo 10.9.0.1 ;;
    hostb) echo 10.9.0.2 ;;
    esac
}

# certs_want HOST KIND: makes such a certificate if there is none yet; prints its folder
certs_want() {
    local host=$1 kind=$2 dir=$lab_dir/pki/$1/$2 ca=$lab_dir/pki/ca address
    address=$(host_address "$host")
    [[ ! -e $dir/cert.pem ]] || kind=made
    case $kind in
    made) ;;
    good) certs_issue "$ca" "$dir" ecdsa "$host" "$address" ;;
    for-libvirt) certs_issue "$ca" "$dir" rsa "$host" "$address" ;;
    wrong-name) certs_issue "$ca" "$dir" ecdsa elsewhere 10.9.0.99 ;;
    other-ca)
        certs_ca "$lab_dir/pki/other-ca-of-$host" "another CA"
        certs_issue "$lab_dir/pki/other-ca-of-$host" "$dir" ecdsa "$host" "$address"
        ;;
    expired)
        certs_issue "$ca" "$dir" ecdsa "$host" "$address" \
            $'activation_date = "2020-01-01"\nexpiration_date = "2020-02-01"'
        ;;
    *) die_usage "certs: unknown kind '$kind'" ;;
    esac
    echo "$dir"
}

certs_up() {
    local host
    certs_ca "$lab_dir/pki/ca" "vmferry lab CA"
    for host in $hosts; do
        certs_install_vmferry "$host" good
        certs_install_others "$host"
    done
}

# certs_install_vmferry HOST good|other-ca|wrong-name|expired
certs_install_vmferry() {
    local dir
    host_known "$1"
    dir=$(certs_want "$1" "${2:-good}")
    certs_copy "$1" "$dir" /etc/pki/vmferry \
        cacert.pem servercert.pem serverkey.pem clientcert.pem clientkey.pem
}

# certs_install_others HOST: where QEMU and libvirt look for theirs
certs_install_others() {
    local dir
    dir=$(certs_want "$1" for-libvirt)
    certs_copy "$1" "$dir" /etc/pki/qemu \
        ca-cert.pem server-cert.pem server-key.pem client-cert.pem client-key.pem
    certs_copy "$1" "$dir" /etc/pki \
        CA/cacert.pem libvirt/servercert.pem libvirt/private/serverkey.pem \
        libvirt/clientcert.pem libvirt/private/clientkey.pem
    [[ $up_qemu_user == root ]] ||
        on_host "$1" chown "$up_qemu_user:" /etc/pki/qemu/{server,client}-key.pem
}

# certs_copy HOST FROM TO CA SERVERCERT SERVERKEY CLIENTCERT CLIENTKEY
certs_copy() {
    local host=$1 from=$2 to
    to=$(host_root "$host")$3
    install -D -m 644 "$from/cacert.pem" "$to/$4"
    install -D -m 644 "$from/cert.pem" "$to/$5"
    install -D -m 600 "$from/key.pem" "$to/$6"
    install -D -m 644 "$from/cert.pem" "$to/$7"
    install -D -m 600 "$from/key.pem" "$to/$8"
}
