package config

import (
	"strings"
	"unicode/utf8"
)

// Nearest returns the known name that name was probably meant to be, without
// regard to case, or "" where none is near enough to be worth naming.
func Nearest(name string, known []string) string {
	length := utf8.RuneCountInString(name)
	if length > 100 {
		return ""
	}
	best, bestDistance := "", 1+max(1, length/3)
	for _, k := range known {
		if d := distance([]rune(strings.ToLower(name)), []rune(strings.ToLower(k))); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

// distance is the least number of characters to insert, delete or replace, and of
// neighbours to swap, that turns a into b (optimal string alignment).
func distance(a, b []rune) int {
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(above[j]+cost, above[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
