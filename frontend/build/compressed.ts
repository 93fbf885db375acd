/** Compresses the build's files once, with Brotli and gzip, and refuses a build whose first page needs too much script. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import type { Plugin } from 'vite'

const TEXT = /\.(js|css|svg|json)$/
/** Bytes of script, compressed with gzip, that a page may need before it shows anything. */
const MOST_FIRST = 250_000

export function compressed(folder: string): Plugin {
  return {
    name: 'compressed',
    apply: 'build',
    closeBundle() {
      const sizes = new Map<string, number>()
      for (const name of readdirSync(join(folder, 'assets')).filter((each) => TEXT.test(each))) {
        const path = join(folder, 'assets', name)
        const content = readFileSync(path)
        const gzip = gzipSync(content, { level: 9 })
        sizes.set(name, gzip.length)
        writeFileSync(`${path}.gz`, gzip)
        writeFileSync(
          `${path}.br`,
          brotliCompressSync(content, {
            params: {
              [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
              [constants.BROTLI_PARAM_SIZE_HINT]: content.length,
            },
          }),
        )
      }
      const page = readFileSync(join(folder, 'index.html'), 'utf8')
      const first = [...page.matchAll(/(?:src|href)="[^"]*\/([^"/]+\.js)"/g)]
        .map((match) => sizes.get(match[1] ?? '') ?? 0)
        .reduce((sum, size) => sum + size, 0)
      this.info(`The first page needs ${(first / 1000).toFixed(0)} kB of script, compressed with gzip.`)
      if (first > MOST_FIRST)
        this.error(`That is more than ${MOST_FIRST / 1000} kB: load something of it later.`)
    },
  }
}
