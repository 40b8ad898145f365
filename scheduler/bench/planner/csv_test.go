package main

import "testing"

func TestEmptyTableIsRefused(t *testing.T) {
	if _, err := parseCSV(nil); err == nil || err.Error() != "it is empty; the first line has the headings" {
		t.Errorf("%v", err)
	}
}

// FuzzCSV: each row of a table has each of its headings.
func FuzzCSV(f *testing.F) {
	f.Add([]byte("instance,best\na1_2,777532896\n"))
	f.Add([]byte("a,a\n1,2\n\"x\ny\",\n"))
	f.Add([]byte("a,b\n1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		rows, err := parseCSV(text)
		if err != nil {
			return
		}
		for i, row := range rows {
			if len(row) == 0 || len(row) != len(rows[0]) {
				t.Fatalf("row %d of %q has %d headings, the first has %d", i, text, len(row), len(rows[0]))
			}
		}
	})
}
