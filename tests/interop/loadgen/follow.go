package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// follower remembers, by inode, how far each file was read, so that waiting for
// the last item does not read the first one again, nor a file that was rotated.
type follower map[uint64]int64

// readNew hands out what was written since the last call, one OTLP JSON object a
// time. A line that has no end yet is left for the next call, unless this is the
// last one.
func (f follower) readNew(patterns []string, signal string, last bool, lines chan<- []byte) error {
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, path := range paths {
			if err := f.readFile(path, signal, last, lines); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

func (f follower) readFile(path, signal string, last bool, lines chan<- []byte) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	about, err := file.Stat()
	if err != nil {
		return err
	}
	inode := about.Sys().(*syscall.Stat_t).Ino
	f[inode] += 0 // known from now on, also while it has no whole line
	if _, err := file.Seek(f[inode], io.SeekStart); err != nil {
		return err
	}
	reader := bufio.NewReaderSize(file, 1<<20)
	for {
		line, err := reader.ReadBytes('\n')
		if err == nil || (errors.Is(err, io.EOF) && last) {
			f[inode] += int64(len(line))
			for _, object := range split(line, signal) {
				lines <- object
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// split parts what a killed writer and its successor put on one line: an object
// without its line feed, or the beginning of one, followed by a whole one.
func split(line []byte, signal string) (objects [][]byte) {
	begin := []byte(map[string]string{
		"traces": `{"resourceSpans"`, "metrics": `{"resourceMetrics"`, "logs": `{"resourceLogs"`,
	}[signal])
	line = bytes.TrimSpace(line)
	for len(line) > 0 {
		next := bytes.Index(line[1:], begin)
		if next < 0 {
			return append(objects, line)
		}
		objects = append(objects, line[:next+1])
		line = line[next+1:]
	}
	return objects
}
