package config

import (
	_ "embed"
	"strconv"
	"strings"
)

//go:embed home/sluice.yaml
var template string

// Template returns the commented sluice.yaml of a new home with all roles, its
// ports moved by offset.
func Template(profile Profile, offset int) []byte {
	return []byte(strings.NewReplacer(
		"\nprofile: quickstart\n", "\nprofile: "+string(profile)+"\n",
		"\noffset: 0\n", "\noffset: "+strconv.Itoa(offset)+"\n",
		"https://localhost:9443\n", "https://localhost:"+strconv.Itoa(9443+offset)+"\n",
	).Replace(template))
}
