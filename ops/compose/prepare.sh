#!/bin/sh
# Makes what compose.yaml mounts: an authority with certificates (certificates/) and secrets (secrets/). What is there stays.
# Run it as root, for each key is given to the user of its container; NAME is the host's name for clients (localhost).
set -eu
cd "${1:-$(dirname "$0")}"
NAME="${NAME:-localhost}"
umask 077
mkdir -p certificates secrets
chmod 755 certificates secrets

[ -f certificates/ca.key ] || openssl req -x509 -newkey rsa:3072 -nodes -days 3650 -subj "/CN=OllamaMax compose" \
    -keyout certificates/ca.key -out certificates/ca.pem 2>/dev/null

certificate() { # name, user of its container, names that it is for
    [ -f "certificates/$1.pem" ] && return
    openssl req -newkey rsa:3072 -nodes -subj "/CN=$1" -keyout "certificates/$1.key" -out "certificates/$1.csr" 2>/dev/null
    printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\n' "$3" > "certificates/$1.ext"
    openssl x509 -req -days 825 -in "certificates/$1.csr" -extfile "certificates/$1.ext" -CA certificates/ca.pem \
        -CAkey certificates/ca.key -CAcreateserial -out "certificates/$1.pem" 2>/dev/null
    rm "certificates/$1.csr" "certificates/$1.ext"
    [ "$(id -u)" != 0 ] || chown "$2" "certificates/$1.key"
}
certificate server 10001:10001 "DNS:$NAME,DNS:localhost,DNS:ollamamax,DNS:web,DNS:gateway,IP:127.0.0.1"
certificate postgres 999:999 DNS:postgres
certificate valkey 999:999 DNS:valkey
certificate dex 1001:1001 DNS:localhost,DNS:dex
chmod 644 certificates/*.pem

secret() { openssl rand -hex 32; }
if [ ! -f secrets/ollamamax.env ]; then
    owner=$(secret) runtime=$(secret) bus=$(secret) token=$(secret)
    tls='sslmode=verify-full&sslrootcert=/certificates/ca.pem'
    cat > secrets/ollamamax.env <<END
OLLAMAMAX_SECRET_KEY=$(secret)
DATABASE_URL=postgresql://ollamamax_runtime:$runtime@postgres:5432/ollamamax?$tls
REDIS_URL=rediss://default:$bus@valkey:6379/0?ssl_ca_certs=/certificates/ca.pem
OLLAMAMAX_METRICS_TOKEN=$token
END
    echo "DATABASE_OWNER_URL=postgresql://ollamamax:$owner@postgres:5432/ollamamax?$tls" > secrets/owner.env
    printf 'POSTGRES_USER=ollamamax\nPOSTGRES_DB=ollamamax\nPOSTGRES_PASSWORD=%s\n' "$owner" > secrets/postgres.env
    printf 'GF_SECURITY_ADMIN_PASSWORD=%s\n' "$(secret)" > secrets/grafana.env
    echo '# OLLAMAMAX_JOIN_TOKEN=omxj_...: docker compose exec web ollamamax node token' > secrets/node.env
    printf '%s' "$token" > secrets/metrics-token
    chmod 644 secrets/metrics-token
    echo "user default on sanitize-payload #$(printf '%s' "$bus" | openssl dgst -sha256 -r | cut -d' ' -f1) ~* &* +@all" > secrets/users.acl
    chmod 644 secrets/users.acl
fi
