package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"stepbench/engine/doctor"
	"stepbench/internal/golden"
)

// The fixture host of package doctor, which has warnings but no failure.
func TestDoctorTableGolden(t *testing.T) {
	text, err := os.ReadFile("../../engine/doctor/testdata/cloud.json")
	if err != nil {
		t.Fatal(err)
	}
	var report doctor.Report
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if err := writeReport(&stdout, &stderr, report, false); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "testdata/doctor.stdout", stdout.Bytes())
	if stderr.Len() > 0 {
		t.Errorf("the table writes to stderr: %s", stderr.Bytes())
	}
}

func blockedReport() doctor.Report {
	return doctor.Report{SchemaVersion: 1, Checks: []doctor.Check{
		{Name: "python", Status: doctor.OK, Value: "3.12.3"},
		{Name: "vllm", Status: doctor.Fail, Value: "not installed", Remedy: "run make setup"},
		{Name: "clock source", Status: doctor.Warn, Value: "hpet", Remedy: "boot with clocksource=tsc"},
		{Name: "memory", Status: doctor.Fail, Value: "1.0 GiB free", Detail: "of 8.0 GiB", Remedy: "free memory"},
		{Name: "gpu", Status: doctor.Absent, Value: "none"},
	}}
}

func TestDoctorNamesWhatBlocks(t *testing.T) {
	const remedies = "fail    vllm (not installed): run make setup\nfail    memory (1.0 GiB free): free memory\n"
	var stdout, stderr bytes.Buffer
	if err := writeReport(&stdout, &stderr, blockedReport(), false); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(stdout.String(), remedies+"not ready to run: 1 ok, 1 warn, 2 fail, 1 absent\n") {
		t.Errorf("table:\n%s", stdout.String())
	}

	stdout.Reset()
	if err := writeReport(&stdout, &stderr, blockedReport(), true); err != nil {
		t.Fatal(err)
	}
	var got doctor.Report
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil || got.OK || len(got.Checks) != 5 {
		t.Errorf("stdout is not the report alone: %v\n%s", err, stdout.String())
	}
	if stderr.String() != remedies {
		t.Errorf("stderr %q, want %q", stderr.String(), remedies)
	}
}

// A terminal that is full or gone must not look like success.
func TestDoctorReportsWriteErrors(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, asJSON := range []bool{false, true} {
		if err := writeReport(full, full, blockedReport(), asJSON); err == nil {
			t.Errorf("json %v: a full device takes the report", asJSON)
		}
	}
}

func TestDoctorColour(t *testing.T) {
	plain, coloured := painter{}, painter{colour: true}
	if got := plain.status(doctor.Fail); got != "fail  " {
		t.Errorf("plain: %q", got)
	}
	if got := coloured.status(doctor.Fail); got != "\x1b[31mfail  \x1b[0m" {
		t.Errorf("coloured: %q", got)
	}
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if wantsColour(file) || wantsColour(&bytes.Buffer{}) {
		t.Error("colour without a terminal")
	}
}

func TestDoctorUsage(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		code   int
		stdout string // part of it
		stderr string
	}{
		{"help", []string{"doctor", "--help"}, exitOK, "Examples:\n", ""},
		{"argument", []string{"doctor", "now"}, exitUsage, "", `stepbench: doctor takes no argument, got "now"`},
		{"unknown flag", []string{"doctor", "--jsn"}, exitUsage, "", "jsn"},
		{"probe without python", []string{"probe", "--python", "/nonexistent/python"}, exitEnvironment, "", "stepbench: python /nonexistent/python: no such file or directory"},
	}
	for _, tt := range tests {
		var stdout, stderr bytes.Buffer
		code := run(append([]string{"stepbench"}, tt.args...), &stdout, &stderr)
		if code != tt.code || !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
			t.Errorf("%s: exit %d, want %d\nstdout: %s\nstderr: %s", tt.name, code, tt.code, stdout.String(), stderr.String())
		}
	}
}
