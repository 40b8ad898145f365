package cluster

import (
	"fmt"
	"time"
)

// Time is an instant: nanoseconds since the Unix epoch, UTC.
type Time int64

// TimeOf converts a time.Time.
func TimeOf(t time.Time) Time { return Time(t.UnixNano()) }

// Std converts to a time.Time in UTC; the zero Time becomes the zero time.Time.
func (t Time) Std() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(t)).UTC()
}

// Add returns t+d. It saturates instead of wrapping round.
func (t Time) Add(d time.Duration) Time {
	s := t + Time(d)
	if d > 0 && s < t {
		return maxTime
	}
	return s
}

// Sub returns t-u.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Instants outside [minTime, maxTime] (the years 2000 and 2200) are refused
// wherever a time comes from outside: differences then never overflow.
const (
	minTime = Time(946684800) * Time(time.Second)
	maxTime = Time(7258118400) * Time(time.Second)
)

// Valid says whether t lies between the years 2000 and 2200.
func (t Time) Valid() bool { return t >= minTime && t <= maxTime }

// Ratio is a dimensionless share in parts per million: 1,000,000 is 100 %.
type Ratio int64

// Whole is the Ratio 100 %.
const Whole Ratio = 1_000_000

// Percent returns p % as a Ratio.
func Percent(p int64) Ratio { return Ratio(p * 10_000) }

// Float returns the ratio as a fraction, for display and for planning.
func (r Ratio) Float() float64 { return float64(r) / 1e6 }

// String prints a percentage with one decimal.
func (r Ratio) String() string { return fmt.Sprintf("%.1f %%", r.Float()*100) }

// MilliCPU is CPU time per wall time in thousandths of a CPU: 1000 is one CPU
// busy all the time.
type MilliCPU int64

// CPUs returns the figure in CPUs.
func (m MilliCPU) CPUs() float64 { return float64(m) / 1000 }

// Shares are the CPU shares of a VM's group, in hundredths of what a group has
// to which nobody gave any: 200 gets twice as much of a full CPU as 100 beside it.
// 0 stands for 100.
type Shares int64

// Factor is by how much they differ from those of everybody; 1 is the same.
func (s Shares) Factor() float64 {
	if s == 0 {
		s = UsualShares
	}
	return float64(s) / float64(UsualShares)
}

// Bounds of shares: what the kernel takes (cpu.weight of cgroup v2).
const (
	UsualShares Shares = 100
	MaxShares   Shares = 10_000
)

// Bytes is an amount of memory or data.
type Bytes int64

// Sizes of memory.
const (
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
)

// String prints the size in the largest binary unit that keeps it at or above 1.
func (b Bytes) String() string {
	switch {
	case b >= GiB || b <= -GiB:
		return fmt.Sprintf("%.1f GiB", float64(b)/float64(GiB))
	case b >= MiB || b <= -MiB:
		return fmt.Sprintf("%.0f MiB", float64(b)/float64(MiB))
	}
	return fmt.Sprintf("%d B", int64(b))
}

// BytesPerSecond is a rate of data.
type BytesPerSecond int64
