package benchmark

import "testing"

func TestTheMachineIsReadFromProc(t *testing.T) {
	if got := cpuModel([]byte("processor\t: 0\nmodel\t\t: 167\nmodel name\t: Intel(R) Xeon(R) Processor\n")); got != "Intel(R) Xeon(R) Processor" {
		t.Errorf("the model is %q", got)
	}
	before, err := parseTimes([]byte("cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	after, err := parseTimes([]byte("cpu  150 0 120 920 0 0 0 10 0 0\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := after.stealSince(before); got != 0.05 {
		t.Errorf("the hypervisor took %v, want 0.05", got)
	}
	if _, err := parseTimes([]byte("intr 1 2 3")); err == nil {
		t.Error("something else is taken for times")
	}
}

func TestAProgramThatIsNotThereHasSaidOtherwise(t *testing.T) {
	if got := FirstLine("nothing", "/no/such/program"); got != "nothing" {
		t.Errorf("it said %q", got)
	}
	if got := FirstLine("nothing", "printf", `one\ntwo\n`); got != "one" {
		t.Errorf("it said %q", got)
	}
}
