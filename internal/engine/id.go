package engine

import (
	"crypto/rand"
	"encoding/base32"
)

// RandomID is Config.NewID where ids need not be reproducible: 20 characters of 100 random bits, a valid jobId.
func RandomID() string {
	var b [13]byte
	_, _ = rand.Read(b[:]) // never fails: https://pkg.go.dev/crypto/rand#Read
	return idEncoding.EncodeToString(b[:])[:20]
}

// idEncoding has lower-case letters and digits without those that look alike.
var idEncoding = base32.NewEncoding("abcdefghijkmnpqrstuvwxyz23456789").WithPadding(base32.NoPadding)
