package parquetfile

var CheckChunk = checkChunk
