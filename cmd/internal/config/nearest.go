package config

import "strings"

// nearest finds the key that was probably meant: the one that fewest edits
// lead to, at most a third of its length.
func nearest(got string, keys []string) (string, bool) {
	if len(got) > 64 {
		return "", false
	}
	best, bestEdits := "", len(got)+1
	for _, key := range keys {
		if d := edits(strings.ToLower(got), strings.ToLower(key)); d < bestEdits {
			best, bestEdits = key, d
		}
	}
	return best, best != "" && bestEdits <= max(1, len(best)/3)
}

// edits is the Levenshtein distance in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
