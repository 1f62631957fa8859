package output

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/parquet-go/parquet-go"
)

// rowOf are the columns that say what is done: reading them alone takes a
// hundredth of reading texts too.
type rowOf struct {
	Index     int64  `parquet:"index"`
	Choice    int32  `parquet:"choice"`
	ErrorCode string `parquet:"error_code,optional"`
}

// scanParquet gives the rows of a file.
func scanParquet(path string, add func(row int64, failed bool) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("read %s: %w", path, err)
		}
	}()
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	defer recoverParquet(&err)
	file, err := openParquet(f)
	if err != nil {
		return err
	}
	r := parquet.NewGenericReader[rowOf](file)
	defer r.Close()
	rows := make([]rowOf, 1024)
	for {
		clear(rows)
		n, err := r.Read(rows)
		for _, row := range rows[:n] {
			if row.Choice == 0 {
				if err := add(row.Index, row.ErrorCode != ""); err != nil {
					return err
				}
			}
		}
		if err == io.EOF {
			return nil
		}
		if err == nil && n == 0 {
			err = errors.New("it is damaged: its rows end before their number says")
		}
		if err != nil {
			return err
		}
	}
}
