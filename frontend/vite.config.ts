import { readFileSync } from 'node:fs'
import react from '@vitejs/plugin-react'
import { defineConfig, type Plugin } from 'vite'

const BASE = '/static/console/'

/** Adds src/scheme.js, unbundled and hashed, as a blocking script: the page is never painted in the wrong colours. */
function schemeScript(): Plugin {
  return {
    name: 'scheme-script',
    apply: 'build',
    buildStart() {
      this.emitFile({ type: 'asset', name: 'scheme.js', source: readFileSync('src/scheme.js') })
    },
    transformIndexHtml: {
      order: 'post',
      handler(html, context) {
        const file = Object.keys(context.bundle ?? {}).find((name) => /\/scheme-[^/]+\.js$/.test(name))
        if (file === undefined) throw new Error('scheme.js is not in the bundle')
        return {
          html,
          tags: [{ tag: 'script', attrs: { src: BASE + file }, injectTo: 'head' }],
        }
      },
    },
  }
}

export default defineConfig({
  base: BASE,
  plugins: [react(), schemeScript()],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: {
    proxy: {
      '/api': 'http://127.0.0.1:8000',
      '/ws': { target: 'ws://127.0.0.1:8000', ws: true },
    },
  },
})
