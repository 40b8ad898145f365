package api

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestServerReadsStrictly(t *testing.T) {
	for name, c := range map[string]struct {
		body, want string // want: part of the error, "" for none
	}{
		"whole":             {`{"for_seconds": 60, "reason": "x"}`, ""},
		"no body":           {``, ""},
		"blanks":            {" \n", ""},
		"misspelt":          {`{"for_second": 60}`, `unknown field "for_second"`},
		"not an object":     {`[1]`, "cannot unmarshal array"},
		"wrong type":        {`{"for_seconds": "2h"}`, "cannot unmarshal string"},
		"cut":               {`{"for_seconds": 6`, "unexpected EOF"},
		"two objects":       {`{} {}`, "more data behind"},
		"garbage behind":    {`{}}`, "more data behind"},
		"number too large":  {`{"for_seconds": 1e999}`, "cannot unmarshal"},
		"not UTF-8 at all":  {"\xff\xfe", "invalid character"},
		"null is an object": {`null`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var req PauseRequest
			err := strict.Unmarshal([]byte(c.body), &req)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestClientTakesFieldsOfNewerServers(t *testing.T) {
	var s Status
	if err := (jsonCodec{}).Unmarshal([]byte(`{"mode":"auto","weather":"fine"}`), &s); err != nil || s.Mode != "auto" {
		t.Errorf("mode %q, error %v", s.Mode, err)
	}
}

// requests are all that a method may be asked with.
func requests() []any {
	return []any{
		new(AddMemberRequest),
		new(CancelRequest),
		new(CordonRequest),
		new(EventsRequest), new(LastKnownRequest),
		new(ExplainRequest),
		new(FinalizeRequest),
		new(FitRequest),
		new(HistoryRequest),
		new(LockRequest),
		new(MigrateRequest),
		new(ModeRequest),
		new(PastRequest),
		new(PauseRequest),
		new(PlanRequest),
		new(RecordRequest),
		new(RemoveMemberRequest),
		new(ReplayRequest),
		new(ResolveRequest),
		new(ResumeRequest),
		new(RevokeCertificateRequest),
		new(SettingsRequest),
		new(SnapshotRequest),
		new(TransferLeaderRequest),
		new(UncordonRequest),
		new(UnlockRequest),
	}
}

// FuzzRequest: whatever arrives is refused or means the same when it is
// written and read again, for each method.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"set":{"enter":"10%"},"dry_run":true,"id":"x"}`, `{"set":null}`, `[]`, `{"set":{"a":1}}`, "{\"reason\":\"\\ud800\"}", `{"set":{"":""}}`,
		`{"until":"2026-11-22T12:00:00Z","for_seconds":-1}`, `{"since":"0001-01-01T00:00:00Z","limit":1e9}`, `{"vm":"a b","host":"\u0000"}`,
	} {
		f.Add([]byte(seed))
	}
	for _, req := range requests() {
		data, err := strict.Marshal(req)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for i, first := range requests() {
			if strict.Unmarshal(data, first) != nil {
				continue
			}
			out, err := strict.Marshal(first)
			if err != nil {
				t.Fatalf("%T: took %q but cannot write it: %v", first, data, err)
			}
			second := requests()[i]
			if err := strict.Unmarshal(out, second); err != nil {
				t.Fatalf("%T: wrote %s and cannot read it: %v", first, out, err)
			}
			// Written once an empty map and no map are the same, so compare what is written.
			if again, _ := json.Marshal(second); !bytes.Equal(out, again) {
				t.Errorf("%T: %s became %s", first, out, again)
			}
		}
	})
}

// FuzzActor: a header is refused or comes back as it was written.
func FuzzActor(f *testing.F) {
	f.Add("eyJraW5kIjoib3BlcmF0b3IiLCJpZCI6InVpZDowIiwibmFtZSI6InJvb3RAaHYxIn0")
	f.Add("e30")
	f.Add("====")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := readActor(text)
		if err != nil {
			return
		}
		b, err := readActor(writeActor(a))
		if err != nil || a != b {
			t.Errorf("%+v became %+v, %v", a, b, err)
		}
	})
}
